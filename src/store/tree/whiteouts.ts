/**
 * Whiteouts: files and symlinks of a torrent that were deleted in the mount, and have no name.
 *
 * Each has a key of its own (`w`), which is written and deleted in the batch that takes the last name of its inode or gives it one. So
 * the entries with whiteouts are known without a look at all files.
 */
import { type Database, del, NOTHING, put, type Write } from '../records/database.ts';
import {
  INODES,
  inodeKey,
  lastNumber,
  WHITEOUT_MIGRATION_KEY,
  WHITEOUTS,
  whiteoutKey,
  whiteoutsOf,
} from '../records/key.ts';
import { decodeInode, type Inode } from '../records/record.ts';

/** Inodes that are read between two turns of the event loop: some milliseconds. */
const SLICE = 500;

/** True for a file or symlink in a torrent's list, which becomes a whiteout when it is deleted. */
export function isOfTorrent(inode: Inode): boolean {
  if (inode.type === 'symlink') return inode.plannedMtime !== undefined;
  return inode.type === 'file' && inode.torrentOffset !== undefined;
}

/** A plain file that a client made in the place of a torrent's file leaves no whiteout. */
export function isWhiteout(inode: Inode | undefined): boolean {
  return inode !== undefined && inode.nlink === 0 && isOfTorrent(inode) && inode.content !== 'plain';
}

export class Whiteouts {
  readonly #db: Database;
  /** By the id of an entry that has, or had, whiteouts: a number that rises with each change of its names. */
  readonly #versions = new Map<number, number>();

  constructor(db: Database) {
    this.#db = db;
  }

  /** Reads which entries have whiteouts. */
  async load(): Promise<void> {
    for await (const page of this.#db.pages(WHITEOUTS)) {
      for (const [key] of page) this.#versions.set(key.readUIntBE(1, 6), 0);
    }
  }

  get isEmpty(): boolean {
    return this.#versions.size === 0;
  }

  /** Rises with each change of an entry's names; undefined for an entry without whiteouts. */
  version(entry: number): number | undefined {
    return this.#versions.get(entry);
  }

  /** Notes that names of an entry have changed. */
  changed(entry: number): void {
    const version = this.#versions.get(entry);
    if (version !== undefined) this.#versions.set(entry, version + 1);
  }

  /** The writes for an inode that becomes `after`, in the batch that makes it so; undefined: it is deleted. */
  writes(ino: number, before: Inode | undefined, after: Inode | undefined): Write[] {
    const [was, is] = [isWhiteout(before), isWhiteout(after)];
    const entry = (after ?? before)?.entry ?? 0;
    if (is && !this.#versions.has(entry)) this.#versions.set(entry, 0);
    if (was === is) return [];
    return [is ? put(whiteoutKey(entry, ino), NOTHING) : del(whiteoutKey(entry, ino))];
  }

  /** Lists the whiteouts of an entry, by inode. */
  async of(entry: number): Promise<Set<number>> {
    const found = new Set<number>();
    if (!this.#versions.has(entry)) return found;
    for await (const page of this.#db.pages(whiteoutsOf(entry))) for (const [key] of page) found.add(lastNumber(key));
    return found;
  }

  /** The write that has `migrate` look for the whiteouts of a store of format 4 or older. */
  static beginMigration(): Write {
    return put(WHITEOUT_MIGRATION_KEY, NOTHING);
  }

  /** Writes the keys that a store of an older format lacks, in slices. It begins anew if it was stopped. */
  async migrate(stopped: () => boolean): Promise<void> {
    if (this.#db.get(WHITEOUT_MIGRATION_KEY) === undefined) return;
    for await (const page of this.#db.pages(INODES, SLICE)) {
      if (stopped()) return;
      const found = page.filter(([, value]) => isWhiteout(decodeInode(value))).map(([key]) => lastNumber(key));
      if (found.length > 0) await this.#db.exclusive(async () => await this.#record(found));
    }
    await this.#db.exclusive(async () => await this.#db.commit([del(WHITEOUT_MIGRATION_KEY)]));
  }

  async #record(inodes: readonly number[]): Promise<void> {
    const writes: Write[] = [];
    for (const ino of inodes) {
      // Read again: it may have a name now, or be gone.
      const bytes = this.#db.get(inodeKey(ino));
      if (bytes !== undefined) writes.push(...this.writes(ino, undefined, decodeInode(bytes)));
    }
    await this.#db.commit(writes, { sync: false });
  }
}
