/**
 * Reads the segments of a task, one after the other, through one buffer.
 *
 * Invariants: files are opened read-only; bytes count only when the file was, by fstat, the recorded one before the
 * first and after the last of them was read; memory does not grow with what is read.
 *
 * Where segments follow each other in a file they are read together: small pieces cost no call each. A long one is announced
 * to the kernel as a whole: several readers of one disk then cost it no seek a buffer. Holes need not be read: files that were
 * given their full size and never downloaded are common.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { errnoOf, messageOf } from '../errors.ts';
import type { Libc } from '../native/libc.ts';
import { CANCELLED, DONE_BYTES, type HashTask, ZEROS_FILE } from './hash-task.ts';

/** Fits the second-level cache: larger reads measured slower, smaller ones cost more calls. */
export const BUFFER_BYTES = 256 * 1024;
/** Of `Stats.blocks`. */
const BLOCK_BYTES = 512;
/** A piece may span thousands of small files, but rarely reads one of them twice. */
const OPEN_FILES = 16;
// O_NONBLOCK: a path that has become a FIFO must not hang the worker; it means nothing for a regular file.
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

/** Why a job has no digest: the result says it, and the jobs after it go on. */
export class ReadFailure extends Error {
  readonly failed: 'changed' | 'unreadable';

  constructor(failed: 'changed' | 'unreadable', message: string) {
    super(message);
    this.failed = failed;
  }
}

export class SegmentReader {
  readonly #task: HashTask;
  readonly #buffer: Buffer;
  readonly #libc: Pick<Libc, 'willNeed' | 'seekData'>;
  /** Files of fewer blocks than bytes. */
  readonly #sparse = new Set<number>();
  /** File index to descriptor, the one used last at the end. */
  readonly #open = new Map<number, number>();
  #zeros: Buffer | undefined;
  /** What the buffer holds: bytes `#from` to `#end` of a file; `#next` is where the last that was asked for ended. */
  #file = ZEROS_FILE;
  #from = 0;
  #end = 0;
  #next = 0;

  /** `buffer`: BUFFER_BYTES that are the reader's alone until it is closed. */
  constructor(task: HashTask, buffer: Buffer, libc: Pick<Libc, 'willNeed' | 'seekData'>) {
    this.#task = task;
    this.#libc = libc;
    this.#buffer = buffer;
  }

  cancelled(): boolean {
    return Atomics.load(this.#task.control.flags, CANCELLED) !== 0;
  }

  /** A segment's bytes, where the buffer holds them all at once. Valid until the next call. @throws ReadFailure */
  whole(segment: number): Buffer | undefined {
    const { file, offset, length } = this.#segment(segment);
    if (file === ZEROS_FILE || length > BUFFER_BYTES || length === 0) return undefined;
    return this.#guarded(file, () => {
      if (!this.#holds(file, offset, offset + 1)) this.#fill(segment, offset);
      if (!this.#holds(file, offset, offset + length)) return undefined;
      return this.#taken(offset, length);
    });
  }

  /** True where a segment is zeros that need not be read: those of a hole, or made up. @throws ReadFailure */
  isBlank(segment: number): boolean {
    const { file, offset, length } = this.#segment(segment);
    const { seekData } = this.#libc;
    if (file === ZEROS_FILE) return true;
    if (seekData === undefined || length === 0) return false;
    return this.#guarded(file, () => {
      const fd = this.#descriptor(file);
      const end = offset + length;
      if (!this.#sparse.has(file) || end > (this.#task.files[file]?.identity.size ?? 0)) return false;
      if (seekData(fd, offset) < end) return false;
      this.#check(file, fd);
      return true;
    });
  }

  /** A segment's bytes in order; each chunk is valid until the next is asked for. @throws ReadFailure */
  *chunks(segment: number): Generator<Buffer, void> {
    const { file, offset, length } = this.#segment(segment);
    if (file === ZEROS_FILE) yield* this.#zeroChunks(length);
    const end = file === ZEROS_FILE ? offset : offset + length;
    for (let position = offset; position < end && !this.cancelled(); position = this.#next) {
      yield this.#guarded(file, () => {
        if (!this.#holds(file, position, position + 1)) this.#fill(segment, position);
        return this.#taken(position, Math.min(this.#end, end) - position);
      });
    }
  }

  close(): void {
    for (const fd of this.#open.values()) closeSync(fd);
    this.#open.clear();
  }

  #segment(index: number): { readonly file: number; readonly offset: number; readonly length: number } {
    const { segments } = this.#task;
    return {
      file: segments[index * 3] ?? ZEROS_FILE,
      offset: segments[index * 3 + 1] ?? 0,
      length: segments[index * 3 + 2] ?? 0,
    };
  }

  *#zeroChunks(length: number): Generator<Buffer, void> {
    this.#zeros ??= Buffer.alloc(BUFFER_BYTES);
    for (let left = length; left > 0 && !this.cancelled(); ) {
      const n = Math.min(left, BUFFER_BYTES);
      this.done(n);
      left -= n;
      yield this.#zeros.subarray(0, n);
    }
  }

  #guarded<T>(file: number, action: () => T): T {
    try {
      return action();
    } catch (error) {
      this.#forget(file);
      if (error instanceof ReadFailure || errnoOf(error) === undefined) throw error;
      throw new ReadFailure(
        errnoOf(error) === 'ENOENT' ? 'changed' : 'unreadable',
        `${this.#shown(file)} cannot be read: ${messageOf(error)}`,
      );
    }
  }

  #holds(file: number, from: number, end: number): boolean {
    if (file !== this.#file || from < this.#from || end > this.#end) return false;
    // Bytes read for another segment, and again now: the file must be what it was all the time between.
    if (from !== this.#next) this.#check(file, this.#descriptor(file));
    return true;
  }

  #taken(position: number, length: number): Buffer {
    this.#next = position + length;
    this.done(length);
    return this.#buffer.subarray(position - this.#from, position - this.#from + length);
  }

  /** Reads from `position` of a segment on, and on into the segments that continue it in the same file. */
  #fill(segment: number, position: number): void {
    const { file, offset, length } = this.#segment(segment);
    const end = offset + length;
    const until = this.#runEnd(segment, position + BUFFER_BYTES);
    const fd = this.#descriptor(file);
    if (position === offset && length > BUFFER_BYTES) this.#libc.willNeed?.(fd, offset, length);
    this.#file = ZEROS_FILE;
    const n = readSync(fd, this.#buffer, 0, Math.min(BUFFER_BYTES, until - position), position);
    if (n === 0) throw new ReadFailure('unreadable', `${this.#shown(file)} ends at ${position}, before ${end}`);
    // Where a segment ends, all that was read of it is looked back at, once for all that end in this buffer.
    if (position + n >= end) this.#check(file, fd);
    this.#file = file;
    this.#from = position;
    this.#end = position + n;
    this.#next = position;
  }

  /** Where the run of segments that this one begins ends, as far as `enough`. */
  #runEnd(segment: number, enough: number): number {
    const { segments } = this.#task;
    const file = segments[segment * 3];
    let end = (segments[segment * 3 + 1] ?? 0) + (segments[segment * 3 + 2] ?? 0);
    for (let i = (segment + 1) * 3; end < enough && segments[i] === file && segments[i + 1] === end; i += 3) {
      end += segments[i + 2] ?? 0;
    }
    return end;
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
    if (now.blocks * BLOCK_BYTES < now.size) this.#sparse.add(file);
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
    if (what !== undefined) throw new ReadFailure('changed', `${this.#shown(file)} changed: ${what}`);
  }

  #forget(file: number): void {
    if (this.#file === file) this.#file = ZEROS_FILE;
    const fd = this.#open.get(file);
    if (fd === undefined) return;
    this.#open.delete(file);
    closeSync(fd);
  }

  #shown(file: number): string {
    return Buffer.from(this.#task.files[file]?.path ?? []).toString();
  }

  /** Counts bytes that were hashed, or of which the digest was known. */
  done(bytes: number): void {
    Atomics.add(this.#task.control.doneBytes, DONE_BYTES, BigInt(bytes));
  }
}
