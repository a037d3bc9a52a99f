/**
 * Deletes overlay files that are not needed any more: those of deleted inodes, and of files that the pool has taken.
 *
 * A file is deleted only when the batch that made it unneeded is on the disk: after a power loss a replaced file may
 * have its name back. A note of each file (`garbageKey`) lets the next server continue.
 */
import { messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { type Database, del } from '../records/database.ts';
import { garbageKey, overlayKey } from '../records/key.ts';
import type { OverlayFiles } from './overlay-files.ts';

export class Departures {
  readonly #db: Database;
  readonly #files: OverlayFiles;
  readonly #logger: Logger;
  readonly #leaving = new Set<number>();
  readonly #removing = new Map<number, Promise<void>>();
  #work: Promise<void> | undefined;

  constructor(db: Database, files: OverlayFiles, logger: Logger) {
    this.#db = db;
    this.#files = files;
    this.#logger = logger;
  }

  /** Deletes the overlay file of an inode in the background. */
  add(ino: number): void {
    this.#leaving.add(ino);
    this.#work ??= this.#run();
  }

  /** Keeps the overlay file of an inode that needs one again; resolves when no old one is being deleted. */
  async cancel(ino: number): Promise<void> {
    this.#leaving.delete(ino);
    await this.#removing.get(ino);
  }

  /** Resolves when the overlay files of everything deleted so far are gone. */
  async done(): Promise<void> {
    await this.#work;
  }

  async #run(): Promise<void> {
    while (this.#leaving.size > 0) {
      const deleted = [...this.#leaving];
      try {
        await this.#db.sync();
      } catch (error) {
        this.#logger.warn(`overlay files that are not needed cannot be deleted yet: ${messageOf(error)}`);
        break;
      }
      for (const ino of deleted) {
        // It got a new overlay file meanwhile.
        if (!this.#leaving.delete(ino) || this.#db.get(overlayKey(ino)) !== undefined) continue;
        const removal = this.#remove(ino).finally(() => this.#removing.delete(ino));
        this.#removing.set(ino, removal);
        await removal;
      }
    }
    this.#work = undefined;
  }

  async #remove(ino: number): Promise<void> {
    try {
      await this.#files.remove(ino);
      this.#db.postpone(del(garbageKey(ino)));
    } catch (error) {
      this.#logger.warn(`an overlay file that is not needed could not be deleted: ${messageOf(error)}`);
    }
  }
}
