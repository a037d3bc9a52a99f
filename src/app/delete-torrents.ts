/**
 * Deletes .torrent files that were added. Between the reading of one and its deletion its folder may be replaced by a symlink
 * to another one that has a file of this name, such as a client's session. So only the file that was read is deleted, by its
 * name in an open folder.
 */
import { stat, unlink } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { AutotorrentError, errnoOf, messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { HeldFolder } from '../native/held-folder.ts';

export class TorrentDeletion {
  readonly #logger: Logger;
  /** By path: device and inode of the file that was read. */
  readonly #files = new Map<string, string>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Remembers the file that a path leads to now: call it before the file is read. */
  async remember(path: string): Promise<void> {
    const file = await identityOf(path);
    if (file !== undefined) this.#files.set(path, file);
  }

  /** Deletes the file if it is still the one that was remembered; else the log says why it stays. */
  async delete(path: string): Promise<void> {
    try {
      const folder = await HeldFolder.open(dirname(path));
      try {
        const at = folder.at(basename(path));
        const remembered = this.#files.get(path);
        const now = await identityOf(at);
        if (remembered === undefined || (now !== undefined && now !== remembered)) {
          throw new AutotorrentError('CONFLICT', 'it is no longer the file that was added');
        }
        await unlink(at);
      } finally {
        await folder.close();
      }
    } catch (error) {
      const reason = errnoOf(error) === 'ENOENT' ? 'it is gone already' : messageOf(error);
      this.#logger.warn(`${path} could not be deleted: ${reason}`);
    }
  }
}

async function identityOf(path: string): Promise<string | undefined> {
  try {
    const { dev, ino } = await stat(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return undefined; // reading it, or deleting it, reports the fault
  }
}
