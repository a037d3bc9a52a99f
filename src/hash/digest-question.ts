/**
 * Names questions: what a digest was asked of, so that the same question has the same name in another run.
 *
 * The pieces of one file at one alignment, 64 at a time, are a group; a piece with parts of several is one of its own.
 */
import { createHash } from 'node:crypto';
import { type Stats, statSync } from 'node:fs';
import { type FileIdentity, type HashJob, type HashSegment, isMerkle, segmentsOf } from './hash-pool.ts';
import { SHA1_BYTES, SHA256_BYTES } from './hash-task.ts';

/** How many digests a group has room for. */
export const GROUP_SLOTS = 64;

export interface Slot {
  /** 16 bytes as a string of bytes. */
  readonly group: string;
  readonly index: number;
  readonly digestBytes: number;
}

type FileSegment = Extract<HashSegment, { readonly path: Buffer }>;

/** Looks once at each file. */
export class FileTimes {
  readonly #seen = new Map<FileIdentity, number | undefined>();

  /**
   * When the file's inode was last changed, in milliseconds: which is later than its mtime where a program has set that
   * back. Undefined where it is not the recorded file.
   */
  changedMs({ path, identity }: FileSegment): number | undefined {
    if (this.#seen.has(identity)) return this.#seen.get(identity);
    const now = look(path);
    const same =
      now?.isFile() === true &&
      now.dev === identity.dev &&
      now.ino === identity.ino &&
      now.size === identity.size &&
      now.mtimeMs === identity.mtimeMs;
    const changed = same ? now.ctimeMs : undefined;
    this.#seen.set(identity, changed);
    return changed;
  }
}

/** Undefined where a file is not the recorded one, or nothing is to be read. */
export function slotOf(job: HashJob, times: FileTimes): Slot | undefined {
  const segments = segmentsOf(job);
  const leaves = isMerkle(job) ? job.leaves : 0;
  const digestBytes = leaves === 0 ? SHA1_BYTES : SHA256_BYTES;
  const words = [leaves, segments.length];
  const [only] = segments;
  if (segments.length === 1 && only !== undefined && 'path' in only && only.length > 0) {
    const { offset, length } = only;
    const file = described(only, times);
    if (file === undefined) return undefined;
    const piece = Math.floor(offset / length);
    words.push(...file, length, offset % length, Math.floor(piece / GROUP_SLOTS));
    return { group: digested(words), index: piece % GROUP_SLOTS, digestBytes };
  }
  let read = 0;
  for (const segment of segments) {
    if ('zeros' in segment) {
      words.push(0, segment.zeros);
      continue;
    }
    const file = described(segment, times);
    if (file === undefined) return undefined;
    words.push(1, ...file, segment.offset, segment.length);
    read += segment.length;
  }
  return read === 0 ? undefined : { group: digested(words), index: 0, digestBytes };
}

function described(segment: FileSegment, times: FileTimes): number[] | undefined {
  const changed = times.changedMs(segment);
  if (changed === undefined) return undefined;
  const { dev, ino, size, mtimeMs } = segment.identity;
  return [dev, ino, size, mtimeMs, changed];
}

function digested(words: readonly number[]): string {
  const bytes = Buffer.from(Float64Array.from(words).buffer);
  return createHash('sha256').update(bytes).digest('binary').slice(0, 16);
}

function look(path: Buffer): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined; // the pool says why it cannot be read
  }
}
