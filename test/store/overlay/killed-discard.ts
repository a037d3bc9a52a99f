/** `killed-discard.js FOLDER N`: discards every change of clients to an entry, and is killed after the nth batch. */
import { silentLogger } from '../../../src/logger.ts';
import { Store } from '../../../src/store/store.ts';
import { fileSystemOver, openLevel } from '../../harness/volume.ts';
import { hashOf } from '../fixture.ts';
import { killAfter } from '../kill-after.ts';

const [folder = '', last = '0'] = process.argv.slice(2);
const level = await openLevel(folder);
const store = await Store.open(level, { logger: silentLogger, statePath: folder });
await store.recovered;
killAfter(level, Number(last));
await store.discard(hashOf('E'), undefined, fileSystemOver(store, folder).quiet);
process.stdout.write('done');
process.exit(0);
