/**
 * Compares the overlay's folder with the store: what nothing refers to is set aside, what is missing is reported. Neither
 * is in the way of anything.
 */
import fs from 'node:fs';
import { messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import type { Database } from '../records/database.ts';
import { garbageKey, lastNumber, OVERLAYS, overlayKey } from '../records/key.ts';
import type { Contents } from './contents.ts';
import type { OverlayFilePlace, OverlayFiles } from './overlay-files.ts';

export interface OverlayProblem {
  readonly path: string;
  readonly what: string;
}

export class OverlayCheck {
  readonly problems: OverlayProblem[] = [];
  readonly #db: Database;
  readonly #files: OverlayFiles;
  readonly #contents: Contents;
  readonly #logger: Logger;

  constructor(db: Database, files: OverlayFiles, contents: Contents, logger: Logger) {
    this.#db = db;
    this.#files = files;
    this.#contents = contents;
    this.#logger = logger;
  }

  /** `stopped` ends it early. */
  async run(stopped: () => boolean): Promise<void> {
    const expected = new Set<number>();
    for await (const page of this.#db.pages(OVERLAYS)) for (const [key] of page) expected.add(lastNumber(key));
    for (const shard of this.#files.list()) {
      if (stopped()) return;
      const strays = shard.filter(({ ino }) => ino === undefined || !expected.delete(ino));
      // Not while one is being made: its file is there before its record.
      if (strays.length > 0) await this.#db.exclusive(async () => this.#checkStrays(strays));
      await new Promise(setImmediate);
    }
    for (const ino of expected) {
      const path = this.#files.path(ino);
      if (this.#db.get(overlayKey(ino)) === undefined || fs.existsSync(path)) continue;
      this.#report({ path, what: 'an overlay file is missing: what was written to its file is lost' });
    }
  }

  #checkStrays(strays: readonly OverlayFilePlace[]): void {
    for (const { path, ino } of strays) {
      // Made since this began, or on its way out.
      if (ino !== undefined && (this.#db.get(overlayKey(ino)) ?? this.#db.get(garbageKey(ino))) !== undefined) continue;
      if (ino !== undefined && this.#contents.inUse(ino) !== undefined) continue;
      this.#setAside(path, ino);
    }
  }

  #setAside(path: string, ino: number | undefined): void {
    try {
      if (fs.lstatSync(path).size === 0) {
        // Of a create that was cut short: there is nothing in it.
        fs.rmSync(path);
        return;
      }
      const to = this.#files.setAside(path, ino === undefined ? 'unknown' : `${ino}`);
      this.#report({ path: to, what: 'an overlay file that no file of the mount has was set aside' });
    } catch (error) {
      this.#report({
        path,
        what: `an overlay file that no file of the mount has cannot be moved: ${messageOf(error)}`,
      });
    }
  }

  #report(problem: OverlayProblem): void {
    this.problems.push(problem);
    this.#logger.warn(`${problem.what} (${problem.path})`);
  }
}
