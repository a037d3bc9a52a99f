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
import { closeSync, fstatSync, readSync, type Stats } from 'node:fs';
import { errnoOf, messageOf } from '../errors.ts';
import { isOutOfDescriptors } from '../native/descriptor-budget.ts';
import type { Libc } from '../native/libc.ts';
import { type Difference, differenceOf, type FileIdentity } from '../source/identity.ts';
import { type OpenedSource, openSourceSync } from '../source/open-source.ts';
import type { OwnMounts } from '../source/own-mounts.ts';
import { CANCELLED, DONE_BYTES, type HashTask, ZEROS_FILE } from './hash-task.ts';

/** Fits the second-level cache: larger reads measured slower, smaller ones cost more calls. */
export const BUFFER_BYTES = 256 * 1024;
/** Of `Stats.blocks`. */
const BLOCK_BYTES = 512;
/** How long an opening waits for other readers to close a file, where the process has no descriptor left. */
const WAIT_MS = 10_000;
const PAUSE_MS = 20;

/** Nobody wakes a reader that waits here: it only passes time in a thread that has nothing else to do. */
const PAUSE = new Int32Array(new SharedArrayBuffer(4));

/** Why a job has no digest: the result says it, and the jobs after it go on. */
export class ReadFailure extends Error {
  readonly failed: 'changed' | 'unreadable';

  constructor(failed: 'changed' | 'unreadable', message: string) {
    super(message);
    this.failed = failed;
  }
}

/** What all readers of a thread share. */
export interface ReaderTools {
  readonly libc: Pick<Libc, 'willNeed' | 'seekData'>;
  readonly ownMounts: OwnMounts;
}

export class SegmentReader {
  readonly #task: HashTask;
  readonly #buffer: Buffer;
  readonly #libc: Pick<Libc, 'willNeed' | 'seekData'>;
  readonly #ownMounts: OwnMounts;
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
  constructor(task: HashTask, buffer: Buffer, { libc, ownMounts }: ReaderTools) {
    this.#task = task;
    this.#libc = libc;
    this.#ownMounts = ownMounts;
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
      throw new ReadFailure('unreadable', `${this.#shown(file)} cannot be read: ${messageOf(error)}`);
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
    const opened = this.#openOne(file);
    fd = opened.fd;
    this.#open.set(file, fd);
    this.#note(file, opened.stats);
    for (const oldest of this.#open.keys()) {
      if (this.#open.size <= this.#task.openFiles) break;
      this.#forget(oldest);
    }
    return fd;
  }

  /** Out of descriptors, the reader closes its other files, then waits for those of other threads. */
  #openOne(file: number): OpenedSource {
    const { path, identity } = this.#recorded(file);
    const deadline = performance.now() + WAIT_MS;
    for (;;) {
      try {
        const answer = openSourceSync({ path, recorded: identity }, this.#ownMounts);
        if (answer.state === 'as recorded') return answer;
        throw this.#failure(file, answer.why);
      } catch (error) {
        if (!isOutOfDescriptors(error) || performance.now() > deadline || this.cancelled()) throw error;
        if (this.#open.size > 0) for (const other of this.#open.keys()) this.#forget(other);
        else Atomics.wait(PAUSE, 0, 0, PAUSE_MS);
      }
    }
  }

  #recorded(file: number): { readonly path: Buffer; readonly identity: FileIdentity } {
    const found = this.#task.files[file];
    if (found === undefined) throw new RangeError(`the task has no file ${file}`);
    return { path: Buffer.from(found.path), identity: found.identity };
  }

  #check(file: number, fd: number): void {
    const stats = fstatSync(fd);
    this.#note(file, stats);
    const difference = differenceOf(this.#task.files[file]?.identity ?? {}, stats);
    if (difference !== undefined) throw this.#failure(file, difference);
  }

  #note(file: number, { blocks, size }: Stats): void {
    if (blocks * BLOCK_BYTES < size) this.#sparse.add(file);
  }

  #failure(file: number, { code, says }: Difference): ReadFailure {
    return code === 'unreadable'
      ? new ReadFailure('unreadable', `${this.#shown(file)} ${says}`)
      : new ReadFailure('changed', `${this.#shown(file)} changed: it ${says}`);
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
