/** Deletes the empty folders that a client made, for `overlay discard`. */
import { type Database, NOTHING, put } from '../records/database.ts';
import { direntsOf, nameOfDirentKey, orphanKey } from '../records/key.ts';
import type { Batch } from '../tree/batch.ts';
import type { Difference } from './differences.ts';

/** A folder with more names is not examined. */
const MOST_NAMES = 200;

/**
 * Deletes those of `folders` that are empty, the deepest first, in `batch`; true if one went. An open folder stays,
 * without a name.
 */
export async function removeEmptyFolders(
  db: Database,
  batch: Batch,
  folders: readonly Difference[],
  isOpen: (ino: number) => boolean,
): Promise<boolean> {
  let went = false;
  for (const { ino, strays } of folders) {
    for (const { parent, name } of strays) {
      if (!batch.has(ino) || batch.lookup(parent, name)?.ino !== ino || !(await isEmpty(db, batch, ino))) continue;
      batch.unlink(parent, name);
      batch.count(parent, -1);
      if (isOpen(ino)) {
        batch.set(ino, { ...batch.inode(ino), nlink: 0, ctime: batch.now });
        batch.writes.push(put(orphanKey(ino), NOTHING));
      } else batch.delete(ino, batch.inode(ino));
      went = true;
    }
  }
  return went;
}

async function isEmpty(db: Database, batch: Batch, ino: number): Promise<boolean> {
  const rows = await db.first(direntsOf(ino), MOST_NAMES + 1);
  return rows.length <= MOST_NAMES && rows.every(([key]) => batch.lookup(ino, nameOfDirentKey(key)) === undefined);
}
