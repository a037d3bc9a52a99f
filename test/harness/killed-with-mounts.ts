/** Mounts one file system of each kind below the folder that it gets, reports, and waits to be killed. */
import { join } from 'node:path';
import { FILE_SYSTEM_KINDS, makeFileSystem } from './file-systems.ts';

const [folder = ''] = process.argv.slice(2);
for (const kind of FILE_SYSTEM_KINDS) await makeFileSystem(kind, join(folder, kind));
process.send?.('mounted');
setInterval(() => {}, 60_000);
