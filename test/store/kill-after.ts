/** Kills this process (SIGKILL) right after the nth batch of a store's database was written; 0: never. */
import type { StoreLevel } from '../../src/store/records/database.ts';

export function killAfter(level: StoreLevel, last: number): void {
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
          if (++batches === last) process.kill(process.pid, 'SIGKILL');
        },
      });
    },
  });
}
