/** Rebuilds an index over and over, to be killed while it does: `rebuild-child.js DB DISK`. */
import { Level } from 'level';
import { rebuild } from '../../../src/collection/level/rebuild.ts';

const [location = '', disk = ''] = process.argv.slice(2);
const db = new Level<Buffer, Buffer>(location);
await db.open();
process.stdout.write('go\n');
for (;;) await rebuild(db, { disks: [disk], full: true });
