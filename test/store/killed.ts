/** Does one thing to the store in argv[2], and is killed right after its nth batch: `killed.js FOLDER create|remove N`. */
import { silentLogger } from '../../src/logger.ts';
import { Store } from '../../src/store/store.ts';
import { file, hashOf, openLevel, plan, source } from './fixture.ts';

const [folder = '', what = '', last = '0'] = process.argv.slice(2);
const level = await openLevel(folder);
const store = await Store.open(level, { logger: silentLogger, statePath: folder });
let batches = 0;
const begin = () => level.batch();
const batch: typeof begin = level.batch.bind(level);
Object.assign(level, {
  batch: () => {
    const chained = batch();
    const write = chained.write.bind(chained);
    return Object.assign(chained, {
      write: async (options: Parameters<typeof write>[0]) => {
        await write(options);
        if (++batches === Number(last)) process.kill(process.pid, 'SIGKILL');
      },
    });
  },
});
if (what === 'remove') await store.removeEntry(hashOf('A'));
else {
  const files = Array.from({ length: 1100 }, (_, i) => file(`T/sub ${i % 7}/f${i}`, i % 2));
  await store.createEntry(plan('A', files, [source('x', [1]), source('yy')]));
}
process.stdout.write('done');
process.exit(0);
