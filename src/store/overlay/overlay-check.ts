/**
 * Compares the overlay's folder with the store: files that nothing refers to are set aside, missing ones are reported.
 * Neither keeps the store from working.
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

  /** Runs the check; `stopped` ends it early. */
  async run(stopped: () => boolean): Promise<void> {
    const expected = new Set<number>();
    for await (const page of this.#db.pages(OVERLAYS)) for (const [key] of page) expected.add(lastNumber(key));
    for (const shard of this.#files.list()) {
      if (stopped()) return;
      const strays = shard.filter(({ ino }) => ino === undefined || !expected.delete(ino));
      // Not while a file is being made: it exists before its record does.
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
      // It was made since this began, or is being deleted.
      if (ino !== undefined && (this.#db.get(overlayKey(ino)) ?? this.#db.get(garbageKey(ino))) !== undefined) continue;
      if (ino !== undefined && this.#contents.inUse(ino) !== undefined) continue;
      this.#setAside(path, ino);
    }
  }

  #setAside(path: string, ino: number | undefined): void {
    try {
      if (fs.lstatSync(path).size === 0) {
        // An interrupted create left it; it is empty.
        fs.rmSync(path);
        return;
      }
      const to = this.#files.setAside(path, ino === undefined ? 'unknown' : `${ino}`);
      this.#report({ path: to, what: 'an overlay file without a file in the mount was set aside' });
    } catch (error) {
      this.#report({
        path,
        what: `an overlay file without a file in the mount cannot be moved: ${messageOf(error)}`,
      });
    }
  }

  #report(problem: OverlayProblem): void {
    this.problems.push(problem);
    this.#logger.warn(`${problem.what} (${problem.path})`);
  }
}
