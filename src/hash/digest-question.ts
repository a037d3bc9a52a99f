/**
 * Names the questions that digests answer, so that the same question has the same name in another run.
 *
 * A question has the ctime of its files in its name. It is that of a look, in this run: a recorded one says nothing of what is
 * there now. Where the caller has looked (`HashSegment.seen`), nobody looks again: the digest is that of the state which the
 * caller saw and will record, and a thread that reads the file compares that state before and after.
 *
 * 64 pieces of one file at one alignment form a group. A piece with parts of several files is a group of its own.
 */
import { createHash } from 'node:crypto';
import { millisecondsOf } from '../native/timestamp.ts';
import type { FileIdentity } from '../source/identity.ts';
import { lookAtSource } from '../source/open-source.ts';
import type { SourceAccess } from '../source/source-access.ts';
import { type HashJob, type HashSegment, isMerkle, segmentsOf } from './hash-pool.ts';
import { SHA1_BYTES, SHA256_BYTES } from './hash-task.ts';

/** Digests that a group has room for. */
export const GROUP_SLOTS = 64;

export interface Slot {
  /** 16 bytes, one character each. */
  readonly group: string;
  readonly index: number;
  readonly digestBytes: number;
}

type FileSegment = Extract<HashSegment, { readonly path: Buffer }>;

/** Names questions. Looks once at each file that its caller has not looked at. */
export class QuestionNames {
  readonly #access: SourceAccess;
  readonly #changed = new Map<FileIdentity, number | undefined>();
  /** The group named last: pieces of a file come one after the other, and naming a group for each would take time. */
  #last: { readonly identity: FileIdentity; readonly words: readonly number[]; readonly group: string } | undefined;

  constructor(access: SourceAccess) {
    this.#access = access;
  }

  /** Names a job. Undefined if a file is not as recorded, or nothing would be read. */
  slotOf(job: HashJob): Slot | undefined {
    const segments = segmentsOf(job);
    const leaves = isMerkle(job) ? job.leaves : 0;
    const digestBytes = leaves === 0 ? SHA1_BYTES : SHA256_BYTES;
    const [only] = segments;
    if (segments.length === 1 && only !== undefined && 'path' in only && only.length > 0) {
      const piece = Math.floor(only.offset / only.length);
      const group = this.#groupOf(only, leaves, Math.floor(piece / GROUP_SLOTS));
      return group === undefined ? undefined : { group, index: piece % GROUP_SLOTS, digestBytes };
    }
    const words = [leaves, segments.length];
    let read = 0;
    for (const segment of segments) {
      if ('zeros' in segment) {
        words.push(0, segment.zeros);
        continue;
      }
      const file = this.#described(segment);
      if (file === undefined) return undefined;
      words.push(1, ...file, segment.offset, segment.length);
      read += segment.length;
    }
    return read === 0 ? undefined : { group: digested(words), index: 0, digestBytes };
  }

  /**
   * The ctime of a file in milliseconds: later than its mtime if a program set that back. Undefined if the file is not as
   * recorded.
   */
  changedMs({ path, identity, seen }: FileSegment): number | undefined {
    if (seen === true && identity.ctimeNs !== undefined) return millisecondsOf(identity.ctimeNs);
    if (this.#changed.has(identity)) return this.#changed.get(identity);
    const looked = lookAtSource({ path, recorded: identity }, this.#access);
    const ctimeNs = looked.state === 'as recorded' ? looked.identity.ctimeNs : undefined;
    const changed = ctimeNs === undefined ? undefined : millisecondsOf(ctimeNs);
    this.#changed.set(identity, changed);
    return changed;
  }

  #groupOf(segment: FileSegment, leaves: number, number: number): string | undefined {
    const { identity, offset, length } = segment;
    const words = [leaves, 1, length, offset % length, number];
    const last = this.#last;
    if (last?.identity === identity && last.words.every((word, i) => word === words[i])) return last.group;
    const file = this.#described(segment);
    if (file === undefined) return undefined;
    const group = digested([...words, ...file]);
    this.#last = { identity, words, group };
    return group;
  }

  #described(segment: FileSegment): number[] | undefined {
    const changed = this.changedMs(segment);
    if (changed === undefined) return undefined;
    const { dev, ino, size, mtimeNs } = segment.identity;
    return [dev, Number(ino), size, millisecondsOf(mtimeNs), changed];
  }
}

function digested(words: readonly number[]): string {
  const bytes = Buffer.from(Float64Array.from(words).buffer);
  return createHash('sha256').update(bytes).digest('binary').slice(0, 16);
}
