/**
 * Keeps the list of folders that users gave to `rebuild` by name (`source/given-folders.ts`).
 *
 * The process that serves reads it to know where sources may lie. A folder stays listed when a later rebuild takes it out of
 * the index: entries may have sources in it. Only the process that holds the index's lock writes the list.
 */
import { constants } from 'node:fs';
import { lstat, open, rename, rm } from 'node:fs/promises';
import { errnoOf, messageOf } from '../../../errors.ts';
import type { Logger } from '../../../logger.ts';
import { formatGivenFolders, readGivenFolders } from '../../../source/given-folders.ts';
import { runLater } from '../../../source/steps.ts';

export class GivenFoldersFile {
  readonly #path: string;
  readonly #log: Logger;

  constructor(path: string, log: Logger) {
    this.#path = path;
    this.#log = log;
  }

  async exists(): Promise<boolean> {
    return await lstat(this.#path).then(
      () => true,
      (error: unknown) => errnoOf(error) !== 'ENOENT',
    );
  }

  /**
   * Adds folders to the list, and makes it if there is none. A list that is not believed is put aside. If it cannot be
   * written, the log says so: the index is good all the same.
   */
  async add(folders: readonly Buffer[], log: Logger = this.#log): Promise<void> {
    try {
      const found = await runLater(readGivenFolders(this.#path));
      if (found !== undefined && 'problem' in found) {
        await rename(this.#path, `${this.#path}.refused`);
        log.warn(`${this.#path} ${found.problem}: it is ${this.#path}.refused now, and a new one takes its place`);
      }
      const before = found === undefined || 'problem' in found ? undefined : found;
      const all = new Map([...(before ?? []), ...folders].map((folder) => [folder.toString('latin1'), folder]));
      if (before === undefined || all.size > before.length) await this.#write([...all.values()]);
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
      log.warn(
        `${this.#path} cannot be written, so files in folders given to rebuild are not served: ${messageOf(error)}`,
      );
    }
  }

  async #write(folders: readonly Buffer[]): Promise<void> {
    const fresh = `${this.#path}.new`;
    await rm(fresh, { force: true });
    const file = await open(
      fresh,
      constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
      0o600,
    );
    try {
      await file.writeFile(formatGivenFolders(folders));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(fresh, this.#path);
  }
}
