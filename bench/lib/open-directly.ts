/**
 * `openCollection` of a program that opens the index in its own process. It stands in for `src/collection/open.ts` in the
 * copy of the program that `lib/direct-program.ts` makes.
 */
import type { Collection } from '../../src/collection/collection.ts';
import type { CollectionConfig } from '../../src/collection/open.ts';

export function openCollection({ db }: CollectionConfig): Collection {
  return {
    async openIndex() {
      const [{ openLevel }, { openIndex }] = await Promise.all([
        import('../../src/leveldb/open.ts'),
        import('../../src/collection/level/open-index.ts'),
      ]);
      const level = await openLevel(db, { code: 'INDEX', what: 'the collection index', create: false, waitMs: 10_000 });
      const index = await openIndex(level);
      return Object.assign(index, { close: async () => await level.close() });
    },
    rebuild: () => Promise.reject(new Error('this program only reads the index')),
  };
}
