/**
 * Keeps one file in a process of its own, and prints what became of it: `keep-one.js DISK BASE FILE LIMIT`. For tests of other
 * users, and of a process that is killed.
 */
import { keeperOn, kept } from './keeping.ts';

const [disk = '', base = '', file = '', limit] = process.argv.slice(2);
const keeper = keeperOn(disk, base, { limit: Number(limit) });
const { at, shared } = await kept(keeper, file);
process.stdout.write(`${JSON.stringify({ at, shared })}\n`);
await keeper.close();
