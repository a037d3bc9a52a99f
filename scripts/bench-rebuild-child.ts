/** One rebuild in a process of its own, so that its start-up counts: `bench-rebuild-child.js DB DISK [full]`. */
import { Level } from 'level';
import { rebuild } from '../src/collection/rebuild.ts';

const [location = '', disk = '', full] = process.argv.slice(2);
const db = new Level(location);
await db.open();
const { files } = await rebuild(db, { disks: [disk], full: full === 'full' });
await db.close();
process.stdout.write(`${JSON.stringify({ files, maxRssMiB: process.resourceUsage().maxRSS / 1024 })}\n`);
