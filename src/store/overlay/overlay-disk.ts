/**
 * Writes to the disk that holds the overlay.
 *
 * The store's records need space there, too: writes of clients are refused (ENOSPC) while there is still enough for the
 * records of what they have written, and for those that free space.
 *
 * A write goes into the page cache within the call, which costs less than a thread. If the kernel makes writers wait
 * (too much is dirty, or the disk is slow), threads do the waiting for a while.
 */
import fs from 'node:fs';
import { promisify } from 'node:util';
import { PosixError } from '../../errors.ts';
import type { MaybePromise } from '../maybe-promise.ts';

const writeAsync = promisify(fs.write);

/** The space kept for the store: twice LevelDB's log and the table that it becomes. */
const RESERVE_BYTES = 16 * 2 ** 20;
/** The largest part of a small disk that is kept. */
const RESERVE_PART = 1 / 16;
/** The most that is written between two looks at the free space. */
const LOOK_BYTES = 4 * 2 ** 20;
const LOOK_MS = 1000;
const SLOW_MS = 50;
const WAITING_MS = 2000;

export class OverlayDisk {
  readonly #folder: string;
  #room = 0;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #waitingUntil = Number.NEGATIVE_INFINITY;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Reserves space for a write. @throws PosixError('ENOSPC') if `bytes` more would leave too little for the store */
  reserve(bytes: number): void {
    // It overwrites stored bytes: even a full disk has room for that.
    if (bytes === 0) return;
    const now = performance.now();
    if (bytes > this.#room || now - this.#lookedAt > LOOK_MS) {
      const { bavail, blocks, bsize } = fs.statfsSync(this.#folder);
      const left = bavail * bsize - Math.min(RESERVE_BYTES, blocks * bsize * RESERVE_PART);
      this.#lookedAt = now;
      this.#room = Math.min(LOOK_BYTES, left);
      // Some file systems report nothing.
      if (bytes > left && blocks > 0) throw new PosixError('ENOSPC', `the disk of ${this.#folder} is full`);
    }
    this.#room -= bytes;
  }

  /** Writes all of `buffer` at `position`. @throws file errors of the disk */
  write(fd: number, buffer: Buffer, position: number): MaybePromise<void> {
    const began = performance.now();
    if (began < this.#waitingUntil) return writeWaiting(fd, buffer, position);
    for (let done = 0; done < buffer.length; ) {
      done += fs.writeSync(fd, buffer, done, buffer.length - done, position + done);
    }
    const now = performance.now();
    if (now - began > SLOW_MS) this.#waitingUntil = now + WAITING_MS;
    return undefined;
  }
}

async function writeWaiting(fd: number, buffer: Buffer, position: number): Promise<void> {
  for (let done = 0; done < buffer.length; ) {
    const { bytesWritten } = await writeAsync(fd, buffer, done, buffer.length - done, position + done);
    done += bytesWritten;
  }
}
