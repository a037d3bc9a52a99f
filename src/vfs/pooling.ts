/** Puts a file that a client completed into the pool; handles that have it open continue with the new content. */
import type { StoredFile } from '../store/entries/entry-files.ts';
import type { Pooling } from '../store/sources/pool-files.ts';
import type { Store } from '../store/store.ts';
import type { InodeAttributes } from './inode-attributes.ts';
import type { OpenFiles } from './open-files.ts';

/**
 * Puts a file of an entry into the pool, as `place` below the pool's folder. Every byte must be in the overlay file and
 * verified; undefined if that no longer holds, or if the store has no pool.
 * @throws AutotorrentError('NOT_FOUND'), ('STORE'), PosixError, and file errors of the disk
 */
export async function poolFile(
  store: Store,
  attributes: InodeAttributes,
  openFiles: OpenFiles,
  infoHash: string,
  file: StoredFile,
  place: readonly string[],
): Promise<Pooling | undefined> {
  return await openFiles.using(file.ino, async (open) =>
    open.inTurn(async () => {
      const { content, kind } = open.file;
      const pooling = await store.pool(infoHash, file, { place, content, shown: attributes.of(file.ino) });
      // The file is a source from now on: handles that were open for writing must not write to it.
      if (pooling !== undefined && 'pooled' in pooling && kind === 'plain') await openFiles.becomeMapped(open);
      return pooling;
    }),
  );
}
