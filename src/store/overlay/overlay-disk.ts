/**
 * Writes to the disk that holds the overlay.
 *
 * The store's records need room there, too: what clients write is refused (ENOSPC) while there is still enough for the
 * records that tell what they have written, and for those that free room.
 *
 * A write goes into the page cache in the call that asks for it, which costs less than a thread; where the kernel makes
 * writers wait (too much is dirty, or the disk is slow), threads do the waiting for a while.
 */
import fs from 'node:fs';
import { promisify } from 'node:util';
import { PosixError } from '../../errors.ts';
import type { MaybePromise } from '../maybe-promise.ts';

const writeAsync = promisify(fs.write);

/** LevelDB's log and the table it becomes, twice. */
const RESERVE_BYTES = 16 * 2 ** 20;
/** Of a small disk, a part. */
const RESERVE_PART = 1 / 16;
/** How much is written between two looks at the free space, at the most. */
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

  /** Throws PosixError('ENOSPC') where `bytes` more would leave too little for the store. */
  reserve(bytes: number): void {
    // Into what is stored already: there is room for that on a full disk, too.
    if (bytes === 0) return;
    const now = performance.now();
    if (bytes > this.#room || now - this.#lookedAt > LOOK_MS) {
      const { bavail, blocks, bsize } = fs.statfsSync(this.#folder);
      const left = bavail * bsize - Math.min(RESERVE_BYTES, blocks * bsize * RESERVE_PART);
      this.#lookedAt = now;
      this.#room = Math.min(LOOK_BYTES, left);
      // Some file systems tell nothing.
      if (bytes > left && blocks > 0) throw new PosixError('ENOSPC', `the disk of ${this.#folder} is full`);
    }
    this.#room -= bytes;
  }

  /** All of `buffer` at `position`. Throws what the disk says. */
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
