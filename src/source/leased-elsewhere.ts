/**
 * Files on which another program holds a lease: Samba, with `kernel oplocks`. An open that does not wait is refused by the kernel
 * (EWOULDBLOCK), which asks the other program to give the lease back, and takes it after /proc/sys/fs/lease-break-time. So the file is
 * opened again a moment later; nothing is wrong with it.
 */
import { readFileSync } from 'node:fs';
import { errnoOf, PosixError } from '../errors.ts';

/** Milliseconds between tries: the first pause, and the longest. Each is twice as long as the one before. */
const FIRST_MS = 5;
const LONGEST_MS = 250;
/** Seconds for which the kernel waits, if it does not say. */
const USUAL_BREAK_S = 45;
/** Milliseconds beyond that. */
const MORE_MS = 5000;

/** Another program has kept a lease on a file, or taken it again and again. It says nothing about the file. */
export class LeasedElsewhere extends PosixError {
  constructor(path: Buffer, cause: unknown) {
    super('EIO', `another program keeps ${path.toString()} for itself, by a lease`, cause);
  }
}

/** Passes the pauses between tries to open one file. */
export class LeasePauses {
  readonly #path: Buffer;
  #ms = FIRST_MS;
  #until: number | undefined;

  constructor(path: Buffer) {
    this.#path = path;
  }

  /** Gives the milliseconds to wait after an open that failed. @throws its error if it has another reason; LeasedElsewhere */
  after(error: unknown): number {
    if (!isRefusedByLease(error)) throw error;
    const now = performance.now();
    this.#until ??= now + breakTimeMs() + MORE_MS;
    if (now > this.#until) throw new LeasedElsewhere(this.#path, error);
    const ms = this.#ms;
    this.#ms = Math.min(2 * ms, LONGEST_MS);
    return ms;
  }
}

/** Tells if an open that does not wait was refused: no call on a file or folder has another reason for this error. */
export function isRefusedByLease(error: unknown): boolean {
  return errnoOf(error) === 'EAGAIN';
}

function breakTimeMs(): number {
  try {
    const seconds = Number(readFileSync('/proc/sys/fs/lease-break-time', 'latin1'));
    return 1000 * (Number.isFinite(seconds) ? seconds : USUAL_BREAK_S);
  } catch {
    return 1000 * USUAL_BREAK_S;
  }
}
