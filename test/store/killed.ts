/**
 * Runs one operation on the store in argv[2] and is killed right after its nth batch: `killed.js FOLDER create|remove
 * N`.
 */
import { silentLogger } from '../../src/logger.ts';
import { Store } from '../../src/store/store.ts';
import { openLevel } from '../harness/volume.ts';
import { file, hashOf, plan, source } from './fixture.ts';
import { killAfter } from './kill-after.ts';

const [folder = '', what = '', last = '0'] = process.argv.slice(2);
const level = await openLevel(folder);
const store = await Store.open(level, { logger: silentLogger, statePath: folder });
killAfter(level, Number(last));
if (what === 'remove') await store.removeEntry(hashOf('A'));
else {
  const files = Array.from({ length: 1100 }, (_, i) => file(`T/sub ${i % 7}/f${i}`, i % 2));
  await store.createEntry(plan('A', files, [source('x', [1]), source('yy')]));
}
process.stdout.write('done');
process.exit(0);
