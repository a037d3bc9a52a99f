/**
 * Reads the segments of a task, one after the other, through one buffer.
 *
 * Invariants: files are opened by `source/` alone; bytes count only if the file was as recorded before the first and after
 * the last of them was read; memory does not grow with the bytes that are read.
 *
 * Segments that follow each other in a file are read together, so that small pieces do not cost a call each. A long segment
 * is announced to the kernel as a whole, so that several readers of one disk do not make it seek for each buffer. Holes are
 * not read: files that have their full size and were never downloaded are common.
 */
import { closeSync, fstatSync, readSync } from 'node:fs';
import { errnoOf, messageOf } from '../errors.ts';
import { isOutOfDescriptors } from '../native/descriptor-budget.ts';
import type { FileCalls } from '../native/files.ts';
import { type Difference, differenceOf, type FileIdentity, identityOf } from '../source/identity.ts';
import type { Looks } from '../source/looks.ts';
import { openSourceSync, openUnchangedSync } from '../source/open-source.ts';
import type { SourceAccess } from '../source/source-access.ts';
import { CANCELLED, DONE_BYTES, type HashTask, identityOfFile, pathOf, ZEROS_FILE } from './hash-task.ts';

/** Fits the second-level cache: larger reads measured slower, and smaller ones need more calls. */
export const BUFFER_BYTES = 256 * 1024;
/** The unit of `Stats.blocks`. */
const BLOCK_BYTES = 512;
/** Milliseconds for which an opening waits for other readers to close a file, when the process has no descriptor left. */
const WAIT_MS = 10_000;
const PAUSE_MS = 20;

/** Nobody wakes a reader that waits here: it only passes time in a thread that has nothing else to do. */
const PAUSE = new Int32Array(new SharedArrayBuffer(4));

/** Thrown if a job has no digest. Its result says why, and the other jobs go on. */
export class ReadFailure extends Error {
  readonly failed: 'changed' | 'unreadable';

  constructor(failed: 'changed' | 'unreadable', message: string) {
    super(message);
    this.failed = failed;
  }
}

interface OpenFile {
  readonly fd: number;
  readonly identity: FileIdentity;
}

/** The parts that all readers of a thread share. */
export interface ReaderTools {
  readonly libc: Pick<FileCalls, 'willNeed' | 'seek'>;
  readonly access: SourceAccess;
  readonly looks: Looks;
}

export class SegmentReader {
  readonly #task: HashTask;
  readonly #buffer: Buffer;
  readonly #libc: Pick<FileCalls, 'willNeed' | 'seek'>;
  readonly #access: SourceAccess;
  readonly #looks: Looks;
  /** Files that have holes: fewer blocks than bytes. */
  readonly #sparse = new Set<number>();
  /** By file index, in the order of use: the one used last comes last. */
  readonly #open = new Map<number, OpenFile>();
  #zeros: Buffer | undefined;
  /** The buffer holds bytes `#from` to `#end` of this file. `#next` is where the last request ended. */
  #file = ZEROS_FILE;
  #from = 0;
  #end = 0;
  #next = 0;

  /** `buffer` has BUFFER_BYTES, which are the reader's alone until it is closed. */
  constructor(task: HashTask, buffer: Buffer, { libc, access, looks }: ReaderTools) {
    this.#task = task;
    this.#libc = libc;
    this.#access = access;
    this.#looks = looks;
    this.#buffer = buffer;
  }

  cancelled(): boolean {
    return Atomics.load(this.#task.control.flags, CANCELLED) !== 0;
  }

  /** Reads a segment that fits the buffer as a whole. The bytes are valid until the next call. @throws ReadFailure */
  whole(segment: number): Buffer | undefined {
    const { file, offset, length } = this.#segment(segment);
    if (file === ZEROS_FILE || length > BUFFER_BYTES || length === 0) return undefined;
    return this.#guarded(file, () => {
      if (!this.#holds(file, offset, offset + 1)) this.#fill(segment, offset);
      if (!this.#holds(file, offset, offset + length)) return undefined;
      return this.#taken(offset, length);
    });
  }

  /** True if a segment is known to be zeros without reading: a hole, or a pad. @throws ReadFailure */
  isBlank(segment: number): boolean {
    const { file, offset, length } = this.#segment(segment);
    const { seek } = this.#libc;
    if (file === ZEROS_FILE) return true;
    if (seek === undefined || length === 0) return false;
    return this.#guarded(file, () => {
      const fd = this.#descriptor(file);
      const end = offset + length;
      if (!this.#sparse.has(file) || end > identityOfFile(this.#task.files, file).size) return false;
      if (seek(fd, offset, 'data') < end) return false;
      this.#check(file, fd);
      return true;
    });
  }

  /** Reads a segment in chunks. Each is valid until the next is asked for. @throws ReadFailure */
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
    for (const { fd } of this.#open.values()) closeSync(fd);
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
    // The bytes were read for another segment: the file must not have changed since.
    if (from !== this.#next) this.#check(file, this.#descriptor(file));
    return true;
  }

  #taken(position: number, length: number): Buffer {
    this.#next = position + length;
    this.done(length);
    return this.#buffer.subarray(position - this.#from, position - this.#from + length);
  }

  /** Fills the buffer from `position` of a segment on, into the segments that continue it in the same file. */
  #fill(segment: number, position: number): void {
    const { file, offset, length } = this.#segment(segment);
    const end = offset + length;
    const until = this.#runEnd(segment, position + BUFFER_BYTES);
    const fd = this.#descriptor(file);
    if (position === offset && length > BUFFER_BYTES) this.#libc.willNeed?.(fd, offset, length);
    this.#file = ZEROS_FILE;
    const n = readSync(fd, this.#buffer, 0, Math.min(BUFFER_BYTES, until - position), position);
    if (n === 0) throw new ReadFailure('unreadable', `${this.#shown(file)} ends at ${position}, before ${end}`);
    // The file is checked again at the end of a segment, once for all segments that end in this buffer.
    if (position + n >= end) this.#check(file, fd);
    this.#file = file;
    this.#from = position;
    this.#end = position + n;
    this.#next = position;
  }

  /** Finds the end of the run of segments that begins with this one, as far as `enough`. */
  #runEnd(segment: number, enough: number): number {
    const { segments } = this.#task;
    const file = segments[segment * 3];
    let end = (segments[segment * 3 + 1] ?? 0) + (segments[segment * 3 + 2] ?? 0);
    for (let i = (segment + 1) * 3; end < enough && segments[i] === file && segments[i + 1] === end; i += 3) {
      end += segments[i + 2] ?? 0;
    }
    return end;
  }

  /** The descriptor of a file, which is checked when it is opened and after each segment that is read from it. */
  #descriptor(file: number): number {
    const known = this.#open.get(file);
    if (known !== undefined) {
      this.#open.delete(file);
      this.#open.set(file, known);
      return known.fd;
    }
    const opened = this.#openOne(file);
    this.#open.set(file, opened);
    for (const oldest of this.#open.keys()) {
      if (this.#open.size <= this.#task.openFiles) break;
      this.#forget(oldest);
    }
    return opened.fd;
  }

  /** Out of descriptors, the reader closes its other files, then waits for those of other threads. */
  #openOne(file: number): OpenFile {
    const { files } = this.#task;
    const [path, identity] = [pathOf(files, file), identityOfFile(files, file)];
    const deadline = performance.now() + WAIT_MS;
    for (;;) {
      try {
        const again = openUnchangedSync(path, identity, this.#access, this.#looks);
        if (again !== undefined) {
          this.#note(file, again.blocks, identity.size);
          return { fd: again.fd, identity };
        }
        const answer = openSourceSync({ path, recorded: identity }, this.#access);
        if (answer.state !== 'as recorded') throw this.#failure(file, answer.why);
        this.#note(file, Number(answer.stats.blocks), identity.size);
        return { fd: answer.fd, identity };
      } catch (error) {
        if (!isOutOfDescriptors(error) || performance.now() > deadline || this.cancelled()) throw error;
        if (this.#open.size > 0) for (const other of this.#open.keys()) this.#forget(other);
        else Atomics.wait(PAUSE, 0, 0, PAUSE_MS);
      }
    }
  }

  #check(file: number, fd: number): void {
    const identity = this.#open.get(file)?.identity ?? identityOfFile(this.#task.files, file);
    if (this.#looks.sameAs(fd, identity)) return;
    const stats = fstatSync(fd, { bigint: true });
    const { size, mtimeNs, ctimeNs } = identity;
    // It was opened as recorded: its inode is the same as then.
    const difference = differenceOf(
      ctimeNs === undefined ? { size, mtimeNs } : { size, mtimeNs, ctimeNs },
      identityOf(stats),
    );
    if (difference !== undefined) throw this.#failure(file, difference);
  }

  #note(file: number, blocks: number, size: number): void {
    if (blocks * BLOCK_BYTES < size) this.#sparse.add(file);
  }

  #failure(file: number, { code, says }: Difference): ReadFailure {
    return code === 'unreadable'
      ? new ReadFailure('unreadable', `${this.#shown(file)} ${says}`)
      : new ReadFailure('changed', `${this.#shown(file)} changed: it ${says}`);
  }

  #forget(file: number): void {
    if (this.#file === file) this.#file = ZEROS_FILE;
    const known = this.#open.get(file);
    if (known === undefined) return;
    this.#open.delete(file);
    closeSync(known.fd);
  }

  #shown(file: number): string {
    return pathOf(this.#task.files, file).toString();
  }

  /** Counts bytes that were hashed, or of which the digest was known. */
  done(bytes: number): void {
    Atomics.add(this.#task.control.doneBytes, DONE_BYTES, BigInt(bytes));
  }
}
