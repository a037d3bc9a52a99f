/**
 * A hash pool that remembers: the same bytes of the same file are not hashed twice, over runs, nor by two callers at once.
 *
 * If two callers ask the same question at once, it is hashed once; if the first gives up, the other asks itself. Without a
 * database nothing more is remembered.
 *
 * Invariants: a digest is remembered, and used again, only for a file that has the same device, inode, size, mtime and
 * ctime; not where one of the times was less than two seconds before it was hashed, since a second change might leave
 * them as they are (FAT counts in steps of two seconds). Losing the records loses nothing, and no fault of the database
 * fails a hash.
 */
import { messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { millisecondsOf } from '../native/timestamp.ts';
import type { SourceAccess } from '../source/source-access.ts';
import { type Digest, DigestCache, type DigestDatabase } from './digest-cache.ts';
import { QuestionNames, type Slot } from './digest-question.ts';
import { type HashJob, type HashOptions, type HashPool, type HashResult, jobBytes, segmentsOf } from './hash-pool.ts';

export interface CachedPoolOptions {
  readonly pool: HashPool;
  readonly access: SourceAccess;
  /** Undefined: nothing is remembered once it is answered. */
  readonly database: DigestDatabase | undefined;
  readonly logger: Logger;
  /** The approximate room of the records, in bytes. */
  readonly maxBytes?: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

const MAX_BYTES = 64 * 1024 * 1024;
const YOUNG_MS = 2000;
/** Digests are stored in steps, so that a stopped run keeps those that it has. */
const STEP_BYTES = 4 * 1024 ** 3;

/** Puts the cache before `pool`. Closes `pool` and `database` when it is closed itself. */
export function createCachedPool(options: CachedPoolOptions): HashPool {
  return new CachedPool(options);
}

interface Question {
  readonly job: HashJob;
  /** Its place among the jobs. */
  readonly at: number;
  readonly slot: Slot | undefined;
  readonly bytes: number;
}

/** The questions of a running call: its results by place, once it ends. */
interface UnderWay {
  readonly results: Promise<ReadonlyMap<number, HashResult>>;
  readonly at: number;
}

class CachedPool implements HashPool {
  readonly #pool: HashPool;
  readonly #access: SourceAccess;
  readonly #cache: DigestCache | undefined;
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #underWay = new Map<string, UnderWay>();
  #usable = true;

  constructor({ pool, access, database, logger, maxBytes = MAX_BYTES, now = Date.now }: CachedPoolOptions) {
    this.#pool = pool;
    this.#access = access;
    this.#cache = database === undefined ? undefined : new DigestCache(database, maxBytes);
    this.#logger = logger;
    this.#now = now;
  }

  async hash(jobs: readonly HashJob[], options: HashOptions = {}): Promise<HashResult[]> {
    options.signal?.throwIfAborted();
    const names = new QuestionNames(this.#access);
    const questions = jobs.map((job, at): Question => ({ job, at, slot: names.slotOf(job), bytes: jobBytes(job) }));
    const known = await this.#attempt(async (cache) => await cache.get(questions.map(({ slot }) => slot)));
    const results = new Map<number, HashResult>();
    for (const [at, digest] of known?.entries() ?? []) if (digest !== undefined) results.set(at, { digest });
    // Nothing is awaited until all have a place, so that no other call gets in between.
    const unknown = questions.filter(({ at }) => !results.has(at));
    const taken = new Set<string>();
    const own = unknown.filter(({ slot }) => {
      if (slot === undefined) return true;
      const key = keyOf(slot);
      return !this.#underWay.has(key) && !taken.has(key) && taken.add(key);
    });
    const begun = this.#begin(own, options);
    const mine = new Set(own);
    const others = unknown.filter((question) => !mine.has(question)).map((question) => this.#followed(question));
    for (const [at, result] of await begun) results.set(at, result);
    await this.#follow(others, options, results);
    return jobs.map((_, at) => {
      const result = results.get(at);
      if (result === undefined) throw new Error('the hash pool gave fewer results than jobs');
      return result;
    });
  }

  async close(): Promise<void> {
    await this.#pool.close();
    await this.#cache?.close().catch((error: unknown) => this.#giveUp(error));
  }

  /** Hashes the questions that no other call hashes, and lets others share the results. */
  async #begin(questions: readonly Question[], options: HashOptions): Promise<ReadonlyMap<number, HashResult>> {
    if (questions.length === 0) return new Map();
    const results = this.#hash(questions, options);
    const mine = questions.flatMap(({ slot, at }) => (slot === undefined ? [] : [{ key: keyOf(slot), at }]));
    for (const { key, at } of mine) this.#underWay.set(key, { results, at });
    try {
      return await results;
    } finally {
      for (const { key } of mine) this.#underWay.delete(key);
    }
  }

  async #hash(questions: readonly Question[], { signal, onProgress }: HashOptions): Promise<Map<number, HashResult>> {
    const results = new Map<number, HashResult>();
    const totalBytes = bytesOf(questions);
    let earlier = 0;
    for (const step of steps(questions)) {
      const began = this.#now();
      const found = await this.#pool.hash(
        step.map(({ job }) => job),
        {
          ...(signal === undefined ? {} : { signal }),
          ...(onProgress === undefined
            ? {}
            : { onProgress: ({ doneBytes }) => onProgress({ doneBytes: earlier + doneBytes, totalBytes }) }),
        },
      );
      for (const [i, { at }] of step.entries()) if (found[i] !== undefined) results.set(at, found[i]);
      await this.#attempt(
        async (cache) => await cache.put(rememberable(step, found, new QuestionNames(this.#access), began)),
      );
      earlier += bytesOf(step);
    }
    return results;
  }

  #followed(question: Question): readonly [Question, UnderWay | undefined] {
    return [question, question.slot === undefined ? undefined : this.#underWay.get(keyOf(question.slot))];
  }

  /** Waits for the results of other calls; asks itself for those that they gave up. */
  async #follow(
    others: readonly (readonly [Question, UnderWay | undefined])[],
    options: HashOptions,
    results: Map<number, HashResult>,
  ): Promise<void> {
    const left: Question[] = [];
    for (const [question, other] of others) {
      const result = await other?.results.then(
        (found) => found.get(other.at),
        () => undefined,
      );
      if (result === undefined) left.push(question);
      else results.set(question.at, result);
    }
    if (left.length === 0) return;
    const again = await this.hash(
      left.map(({ job }) => job),
      options,
    );
    for (const [i, { at }] of left.entries()) if (again[i] !== undefined) results.set(at, again[i]);
  }

  /** Undefined without a database, and after a fault of it: hashing goes on without. */
  async #attempt<T>(action: (cache: DigestCache) => Promise<T>): Promise<T | undefined> {
    if (!this.#usable || this.#cache === undefined) return undefined;
    try {
      return await action(this.#cache);
    } catch (error) {
      return this.#giveUp(error);
    }
  }

  #giveUp(error: unknown): undefined {
    if (this.#usable) this.#logger.warn(`the cache of piece hashes is not used any more: ${messageOf(error)}`);
    this.#usable = false;
    return undefined;
  }
}

function keyOf({ group, index, digestBytes }: Slot): string {
  return `${digestBytes}/${index}/${group}`;
}

/** Keeps the digests of files that did not change since the question was named, nor shortly before. */
function rememberable(
  questions: readonly Question[],
  results: readonly HashResult[],
  names: QuestionNames,
  began: number,
): Digest[] {
  const found: Digest[] = [];
  for (const [i, { job, slot }] of questions.entries()) {
    const result = results[i];
    if (slot === undefined || result === undefined || 'failed' in result) continue;
    const settled = segmentsOf(job).every((segment) => {
      if ('zeros' in segment) return true;
      const changed = names.changedMs(segment);
      return changed !== undefined && Math.max(changed, millisecondsOf(segment.identity.mtimeNs)) <= began - YOUNG_MS;
    });
    if (settled && names.slotOf(job)?.group === slot.group) found.push({ slot, digest: result.digest });
  }
  return found;
}

function* steps(questions: readonly Question[]): Generator<readonly Question[]> {
  let first = 0;
  let bytes = 0;
  for (const [i, question] of questions.entries()) {
    bytes += question.bytes;
    if (bytes < STEP_BYTES && i + 1 < questions.length) continue;
    yield questions.slice(first, i + 1);
    first = i + 1;
    bytes = 0;
  }
}

function bytesOf(questions: readonly Question[]): number {
  return questions.reduce((sum, { bytes }) => sum + bytes, 0);
}
