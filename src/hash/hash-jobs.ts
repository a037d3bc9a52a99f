/**
 * Reads and hashes, in the thread that calls it: what a worker does with a task.
 *
 * Invariants: files are opened read-only; memory does not grow with what is read; a digest is only given for bytes that
 * were read from a file which was, by fstat, the recorded one before the first and after the last of these bytes.
 */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { errnoOf, messageOf } from '../errors.ts';
import { CANCELLED, DIGEST_BYTES, DONE_BYTES, type HashTask, type HashTaskResult, ZEROS_FILE } from './hash-task.ts';

/** Fits the second-level cache: larger reads measured slower, smaller ones cost more calls. */
const BUFFER_BYTES = 256 * 1024;
/** A piece may span thousands of small files, but rarely reads one of them twice. */
const OPEN_FILES = 16;
// O_NONBLOCK: a path that has become a FIFO must not hang the worker; it means nothing for a regular file.
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

class JobFailure extends Error {
  readonly failed: 'changed' | 'unreadable';

  constructor(failed: 'changed' | 'unreadable', message: string) {
    super(message);
    this.failed = failed;
  }
}

/** Stops early, with the results so far, when `control` says so. */
export function hashJobs(task: HashTask): HashTaskResult {
  const reader = new SegmentReader(task);
  const digests = new Uint8Array(task.counts.length * DIGEST_BYTES);
  const failures: HashTaskResult['failures'][number][] = [];
  try {
    let segment = 0;
    for (const [job, count] of task.counts.entries()) {
      if (reader.cancelled()) break;
      const hash = createHash('sha1');
      try {
        for (let i = segment; i < segment + count; i++) reader.update(hash, i);
        digests.set(hash.digest(), job * DIGEST_BYTES);
      } catch (error) {
        if (!(error instanceof JobFailure)) throw error;
        failures.push({ job, failed: error.failed, message: error.message });
      }
      segment += count;
    }
  } finally {
    reader.close();
  }
  return { digests, failures };
}

class SegmentReader {
  readonly #task: HashTask;
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  /** File index to descriptor, the one used last at the end. */
  readonly #open = new Map<number, number>();
  #zeros: Buffer | undefined;

  constructor(task: HashTask) {
    this.#task = task;
  }

  cancelled(): boolean {
    return Atomics.load(this.#task.control.flags, CANCELLED) !== 0;
  }

  update(hash: Hash, segment: number): void {
    const { segments } = this.#task;
    const file = segments[segment * 3] ?? ZEROS_FILE;
    const offset = segments[segment * 3 + 1] ?? 0;
    const length = segments[segment * 3 + 2] ?? 0;
    if (file === ZEROS_FILE) this.#updateZeros(hash, length);
    else this.#updateFile(hash, file, offset, length);
  }

  close(): void {
    for (const fd of this.#open.values()) closeSync(fd);
    this.#open.clear();
  }

  #updateZeros(hash: Hash, length: number): void {
    this.#zeros ??= Buffer.alloc(BUFFER_BYTES);
    for (let left = length; left > 0 && !this.cancelled(); ) {
      const n = Math.min(left, BUFFER_BYTES);
      hash.update(this.#zeros.subarray(0, n));
      this.#done(n);
      left -= n;
    }
  }

  #updateFile(hash: Hash, file: number, offset: number, length: number): void {
    try {
      const fd = this.#descriptor(file);
      let position = offset;
      const end = offset + length;
      while (position < end && !this.cancelled()) {
        const n = readSync(fd, this.#buffer, 0, Math.min(BUFFER_BYTES, end - position), position);
        if (n === 0) throw new JobFailure('unreadable', `${this.#shown(file)} ends at ${position}, before ${end}`);
        hash.update(this.#buffer.subarray(0, n));
        this.#done(n);
        position += n;
      }
      this.#check(file, fd);
    } catch (error) {
      this.#forget(file);
      if (error instanceof JobFailure) throw error;
      throw new JobFailure(
        errnoOf(error) === 'ENOENT' ? 'changed' : 'unreadable',
        `${this.#shown(file)} cannot be read: ${messageOf(error)}`,
      );
    }
  }

  /** The open file, known to be the recorded one: checked when opened, and after each segment read from it. */
  #descriptor(file: number): number {
    let fd = this.#open.get(file);
    if (fd !== undefined) {
      this.#open.delete(file);
      this.#open.set(file, fd);
      return fd;
    }
    const path = Buffer.from(this.#task.files[file]?.path ?? []);
    try {
      fd = openSync(path, OPEN_FLAGS | constants.O_NOATIME);
    } catch (error) {
      if (errnoOf(error) !== 'EPERM') throw error; // only the owner may ask not to change the access time
      fd = openSync(path, OPEN_FLAGS);
    }
    this.#open.set(file, fd);
    this.#check(file, fd);
    for (const oldest of this.#open.keys()) {
      if (this.#open.size <= OPEN_FILES) break;
      this.#forget(oldest);
    }
    return fd;
  }

  #check(file: number, fd: number): void {
    const identity = this.#task.files[file]?.identity;
    const now = fstatSync(fd);
    const what =
      now.dev !== identity?.dev || now.ino !== identity.ino
        ? 'another file is there now'
        : now.size !== identity.size
          ? `it has ${now.size} bytes, not ${identity.size}`
          : now.mtimeMs !== identity.mtimeMs
            ? 'it was modified'
            : now.isFile()
              ? undefined
              : 'it is not a regular file';
    if (what !== undefined) throw new JobFailure('changed', `${this.#shown(file)} changed: ${what}`);
  }

  #forget(file: number): void {
    const fd = this.#open.get(file);
    if (fd === undefined) return;
    this.#open.delete(file);
    closeSync(fd);
  }

  #shown(file: number): string {
    return Buffer.from(this.#task.files[file]?.path ?? []).toString();
  }

  #done(bytes: number): void {
    Atomics.add(this.#task.control.doneBytes, DONE_BYTES, BigInt(bytes));
  }
}
