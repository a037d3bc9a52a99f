/** A file that a client has completed goes into the pool; whoever has it open goes on, with what it is made of now. */
import type { StoredFile } from '../store/entries/entry-files.ts';
import type { Pooling } from '../store/sources/pool-files.ts';
import type { Store } from '../store/store.ts';
import type { OpenFiles } from './open-files.ts';

/**
 * Puts a file of an entry, of which every byte is in its overlay file and verified, into the pool, as `place` below its
 * folder. Undefined where it is not so any more, or the store has no pool.
 * @throws AutotorrentError('NOT_FOUND'), ('STORE'), PosixError, what the disk says
 */
export async function poolFile(
  store: Store,
  openFiles: OpenFiles,
  infoHash: string,
  file: StoredFile,
  place: readonly string[],
): Promise<Pooling | undefined> {
  return await openFiles.using(file.ino, async (open) =>
    open.inTurn(async () => {
      const { content, kind } = open.file;
      const pooling = await store.pool(infoHash, file, place, content);
      // A source from now on: a handle that was writing to it must not.
      if (pooling !== undefined && 'pooled' in pooling && kind === 'plain') await openFiles.becomeMapped(open);
      return pooling;
    }),
  );
}
