/** Verifies an entry's pieces while clients write: the result counts for pieces that did not change since it began. */
import { AutotorrentError, errnoOf } from '../../errors.ts';
import { countBits } from '../../extent/bitfield.ts';
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
import { dayOf, type ProofDays } from './proof-days.ts';

export interface VerifyingParts {
  readonly db: Database;
  readonly tree: Tree;
  readonly names: Namespace;
  readonly catalog: Catalog;
  readonly files: EntryFiles;
  readonly pieces: Pieces;
  readonly days: ProofDays;
}

export class Verifying {
  readonly #parts: VerifyingParts;

  constructor(parts: VerifyingParts) {
    this.#parts = parts;
  }

  /**
   * Begins a verification; call it before listing the entry's files, and pass the result to `ended`.
   * @throws AutotorrentError('NOT_FOUND')
   */
  async begun(infoHash: string): Promise<number> {
    const { catalog, pieces } = this.#parts;
    const entry = catalog.mustHave(infoHash);
    const found = await pieces.of(entry.id);
    await this.#noteReplacements(entry);
    return found?.sequence ?? 0;
  }

  /**
   * Records the place in the torrent of each plain file that replaced a deleted one, so that a write to it marks its
   * pieces as unverified.
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
            // It was deleted since.
            if (errnoOf(error) !== 'ENOENT') throw error;
          });
      }
    }
  }

  /**
   * Records which pieces matched and which did not, and the day; pieces that changed since it began keep their bit.
   * @throws AutotorrentError('NOT_FOUND'), ('CONFLICT') if it began at another server or for an earlier entry
   */
  async ended(infoHash: string, verification: Verification): Promise<StoredEntry> {
    const { db, catalog, pieces, days } = this.#parts;
    const found = await pieces.of(catalog.mustHave(infoHash).id);
    if (found !== null) {
      await db.exclusive(async () => {
        if (!found.isKnownSince(verification.since)) {
          throw new AutotorrentError('CONFLICT', `what changed in ${infoHash} while it was verified is not known`, {
            hint: 'The server was started again, or the torrent was added anew: verify it again.',
          });
        }
        const map = found.after(verification);
        const hashed = found.hashed(verification);
        if (countBits(hashed) === 0) return;
        // None if the entry is gone: then its days must not come back either.
        const writes = pieces.recording(found, map);
        if (writes.length > 0) writes.push(days.recording(infoHash, found.pieceCount, hashed, dayOf(Date.now())));
        await pieces.recorded(found, map, async () => await db.commit(writes));
      });
    }
    return catalog.mustHave(infoHash);
  }
}
