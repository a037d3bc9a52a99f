/**
 * A file of random bytes that keeps room for the store on its disk; it is deleted when the disk is full.
 *
 * LevelDB writes when it opens, and deleting a file takes a record. On a disk without a free byte neither would work:
 * no server could start, and nothing could be deleted to make room. The bytes are random because a file system may
 * store zeros in no space at all.
 */
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';

/**
 * The largest ballast: when LevelDB opens, its log becomes a table of the same size: 4 MiB, and as much again for what
 * frees room.
 */
const BALLAST_BYTES = 8 * 2 ** 20;
/** The largest part of a small disk that the ballast takes. */
const BALLAST_PART = 1 / 8;
/** The pause before it is made again after it was deleted, or could not be made. */
const AGAIN_MS = 1000;

export class Ballast {
  readonly #path: string;
  readonly #folder: string;
  readonly #logger: Logger;
  #making: Promise<void> | undefined;
  #notBefore = 0;

  constructor(statePath: string, logger: Logger) {
    this.#folder = statePath;
    this.#path = join(statePath, 'ballast');
    this.#logger = logger;
  }

  /**
   * Deletes the ballast if the disk has less free space than its size; called before LevelDB is opened.
   * @throws file errors of the disk
   */
  makeRoom(): void {
    if (!fs.existsSync(this.#path)) return;
    const { free, size } = this.#room();
    if (free < size && this.letGo()) this.#logger.warn(`the disk of ${this.#folder} is full: make room on it`);
  }

  /** Deletes the ballast. False if there was none. @throws file errors of the disk */
  letGo(): boolean {
    this.#notBefore = performance.now() + AGAIN_MS;
    if (!fs.existsSync(this.#path)) return false;
    fs.rmSync(this.#path);
    return true;
  }

  /** Makes the ballast in the background if it is missing and the disk has twice its size free. */
  restore(): void {
    const now = performance.now();
    if (this.#making !== undefined || now < this.#notBefore) return;
    this.#notBefore = now + AGAIN_MS;
    const { free, size } = this.#room();
    if (size === 0 || free < 2 * size || this.#isWhole(size)) return;
    this.#making = this.#make(size).finally(() => {
      this.#making = undefined;
    });
  }

  /** Resolves when the ballast is not being made. */
  async settled(): Promise<void> {
    await this.#making;
  }

  async #make(size: number): Promise<void> {
    try {
      await fs.promises.writeFile(this.#path, randomBytes(size), { mode: 0o600, flush: true });
    } catch (error) {
      this.#logger.debug(`room could not be reserved for the store: ${messageOf(error)}`);
      await fs.promises.rm(this.#path, { force: true }).catch(() => {});
    }
  }

  #isWhole(size: number): boolean {
    return fs.lstatSync(this.#path, { throwIfNoEntry: false })?.size === size;
  }

  #room(): { readonly free: number; readonly size: number } {
    const { bavail, blocks, bsize } = fs.statfsSync(this.#folder);
    // Some file systems report nothing: 0.
    return { free: bavail * bsize, size: Math.min(BALLAST_BYTES, Math.floor(blocks * bsize * BALLAST_PART)) };
  }
}
