/** Verification of an entry's pieces beside clients that write: it counts for what did not change since it began. */
import { errnoOf } from '../../errors.ts';
import type { Database } from '../records/database.ts';
import { filesOf } from '../records/key.ts';
import { decodeFile } from '../records/record.ts';
import type { Namespace } from '../tree/namespace.ts';
import type { Tree } from '../tree/tree.ts';
import type { Catalog } from './catalog.ts';
import type { StoredEntry } from './entry.ts';
import type { EntryFiles } from './entry-files.ts';
import type { Verification } from './entry-pieces.ts';
import type { Pieces } from './pieces.ts';

export interface VerifyingParts {
  readonly db: Database;
  readonly tree: Tree;
  readonly names: Namespace;
  readonly catalog: Catalog;
  readonly files: EntryFiles;
  readonly pieces: Pieces;
}

export class Verifying {
  readonly #parts: VerifyingParts;

  constructor(parts: VerifyingParts) {
    this.#parts = parts;
  }

  /** What `ended` needs, from before the entry's files were listed. @throws AutotorrentError('NOT_FOUND') */
  async begun(infoHash: string): Promise<number> {
    const { catalog, pieces } = this.#parts;
    const entry = catalog.mustHave(infoHash);
    const found = await pieces.of(entry.id);
    await this.#noteReplacements(entry);
    return found?.sequence ?? 0;
  }

  /**
   * Gives each plain file that has the place of a deleted one its place in the torrent, so that what is verified of it is
   * taken back when it is written to.
   */
  async #noteReplacements(entry: StoredEntry): Promise<void> {
    const { db, tree, files, names } = this.#parts;
    for await (const page of db.pages(filesOf(entry.id))) {
      for (const [, value] of page) {
        const { ino, path } = decodeFile(value);
        const planned = tree.inode(ino);
        if (planned?.torrentOffset === undefined || planned.nlink !== 0) continue;
        const { torrentOffset } = planned;
        const there = files.resolve(entry.ino, path);
        const inode = there === undefined ? undefined : tree.inode(there);
        if (there === undefined || inode?.content !== 'plain' || inode.torrentOffset === torrentOffset) continue;
        await names
          .update(there, (inode) => ({ ...inode, torrentOffset }))
          .catch((error: unknown) => {
            // Deleted since.
            if (errnoOf(error) !== 'ENOENT') throw error;
          });
      }
    }
  }

  /** Records which pieces agreed and which did not; what changed since it began stays as it is. @throws AutotorrentError('NOT_FOUND') */
  async ended(infoHash: string, verification: Verification): Promise<StoredEntry> {
    const { db, catalog, pieces } = this.#parts;
    const found = await pieces.of(catalog.mustHave(infoHash).id);
    if (found !== null) {
      await db.exclusive(async () => {
        const map = found.after(verification);
        if (map.equals(found.map)) return;
        await db.commit(pieces.recording(found, map));
        found.map = map;
      });
    }
    return catalog.mustHave(infoHash);
  }
}
