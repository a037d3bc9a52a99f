/** Pins one file in a process of its own, and prints what became of it: `pin-one.js DISK BASE FILE KIND`. For tests of other users. */
import { keepFile } from '../../rescue/keeping.ts';
import { pinsOn } from './pins-on.ts';

const [disk = '', base = '', file = '', kind] = process.argv.slice(2);
const pins = pinsOn(disk, base);
const found = await keepFile(pins, file, { ranges: [], pin: kind === 'reflink' ? 'reflink' : 'hardlink' });
process.stdout.write(JSON.stringify(found.kind === 'kept' ? { at: found.path.toString() } : found));
await pins.close();
