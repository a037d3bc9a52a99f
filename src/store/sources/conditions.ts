/**
 * The conditions of sources (`docs/sources.md`): all of them in memory, as records, since 100,000 sources of a pool may
 * be doubted at once (some 15 MB then).
 *
 * A change counts at once, and is written soon. If a crash takes it, the next look finds it again; its epoch is not
 * given again, so proofs of a doubt that was lost prove nothing of a later one.
 */
import type { Condition, ConditionFound } from '../../source/condition.ts';
import { type FileIdentity, isSameContent, isSameIdentity } from '../../source/identity.ts';
import type { Notices } from '../notices.ts';
import { decodeCondition, encodeCondition } from '../records/condition.ts';
import { type Database, del, put, type Write } from '../records/database.ts';
import { CONDITIONS, conditionKey, lastNumber, sourceKey } from '../records/key.ts';
import { Soon } from './soon.ts';

export class Conditions {
  readonly #db: Database;
  readonly #notices: Notices;
  /** Records as strings of one byte a character: a Buffer for each would take twice the room. */
  readonly #records = new Map<number, string>();
  readonly #soon: Soon;

  constructor(db: Database, notices: Notices) {
    this.#db = db;
    this.#notices = notices;
    this.#soon = new Soon(db, (id) => this.#writesOf(id));
  }

  /** Reads all conditions; before anything is served. */
  async load(): Promise<void> {
    for await (const page of this.#db.pages(CONDITIONS)) {
      for (const [key, value] of page) this.#records.set(lastNumber(key), value.toString('latin1'));
    }
  }

  get(id: number): Condition | undefined {
    const record = this.#records.get(id);
    return record === undefined ? undefined : decodeCondition(Buffer.from(record, 'latin1'));
  }

  *all(): Generator<[number, Condition], void, undefined> {
    for (const [id, record] of this.#records) yield [id, decodeCondition(Buffer.from(record, 'latin1'))];
  }

  set(id: number, found: ConditionFound): Condition {
    const before = this.get(id);
    const now = this.next(before, found);
    if (before !== undefined && now.epoch === before.epoch && isSame(before, now)) return before;
    this.#keep(id, now);
    this.#soon.add(id);
    this.#notices.conditionChanged(id, before, now);
    return now;
  }

  /**
   * The condition that follows `before`. A new epoch if it was trusted, or if another file lies there now. That pieces of a file
   * failed stays known, wherever it is meanwhile, until it supplies others alone: then it is doubted.
   */
  next(
    before: Condition | undefined,
    { state, reason, disk, observed, unproven, failed, opened }: ConditionFound,
  ): Condition {
    // A file that is gone for a while may come back.
    const seen = observed ?? before?.observed;
    const goesOn = before !== undefined && (observed === undefined || isSameFile(before.observed, observed));
    return {
      state,
      epoch: goesOn ? before.epoch : this.#db.nextEpoch(),
      sinceMs: before?.state === state ? before.sinceMs : Date.now(),
      reason,
      ...(disk === undefined ? {} : { disk }),
      ...(seen === undefined ? {} : { observed: seen }),
      ...(unproven === true || before?.unproven === true ? { unproven: true } : {}),
      ...(failed === true || (state !== 'doubted' && hasFailed(before, observed)) ? { failed: true } : {}),
      ...(opened === true ? { opened: true } : {}),
    };
  }

  /**
   * Trusts a source: its file is `asRecorded`. If the record is one that nobody has proven, it is doubted instead; if pieces of
   * this file failed, nothing changes. Returns whether it is trusted.
   */
  trust(id: number, asRecorded: FileIdentity | undefined): boolean {
    const before = this.get(id);
    if (before === undefined) return true;
    if (hasFailed(before, asRecorded)) return false;
    if (before.unproven === true) {
      // Why it was away, or looked for, is no reason of the doubt.
      const reason = before.state === 'doubted' ? before.reason : 'was not hashed in full since it changed';
      this.set(id, { state: 'doubted', reason, ...(asRecorded === undefined ? {} : { observed: asRecorded }) });
      return false;
    }
    this.#keep(id, undefined);
    this.#soon.add(id);
    this.#notices.conditionChanged(id, before, undefined);
    return true;
  }

  /** The write that records a condition together with other changes; call `recorded` once it is committed. */
  recording(id: number, condition: Condition | undefined): Write {
    return condition === undefined ? del(conditionKey(id)) : put(conditionKey(id), encodeCondition(condition));
  }

  recorded(id: number, condition: Condition | undefined): void {
    const before = this.get(id);
    this.#keep(id, condition);
    this.#soon.forget(id);
    if (before !== undefined || condition !== undefined) this.#notices.conditionChanged(id, before, condition);
  }

  #keep(id: number, condition: Condition | undefined): void {
    if (condition === undefined) this.#records.delete(id);
    else this.#records.set(id, encodeCondition(condition).toString('latin1'));
  }

  #writesOf(id: number): Write[] {
    const record = this.#records.get(id);
    if (record === undefined) return [del(conditionKey(id))];
    if (this.#db.get(sourceKey(id)) !== undefined) return [put(conditionKey(id), Buffer.from(record, 'latin1'))];
    // It was released meanwhile.
    this.#records.delete(id);
    return [];
  }

  /** Forgets sources that were released; their records went with them. */
  forget(ids: Iterable<number>): void {
    for (const id of ids) {
      this.#soon.forget(id);
      this.#records.delete(id);
    }
  }

  /** Resolves when all is written, or cannot be. */
  async settled(): Promise<void> {
    await this.#soon.settled();
  }
}

function isSame(one: Condition, other: Condition): boolean {
  return (
    one.state === other.state &&
    one.reason === other.reason &&
    one.disk === other.disk &&
    one.unproven === other.unproven &&
    one.failed === other.failed &&
    one.opened === other.opened
  );
}

/** Tells if pieces of a file failed: of the one that lies there now, or of the last one if none does. */
function hasFailed(before: Condition | undefined, now: FileIdentity | undefined): boolean {
  if (before?.failed !== true) return false;
  return now === undefined || before.observed === undefined || isSameContent(before.observed, now);
}

function isSameFile(one: FileIdentity | undefined, other: FileIdentity): boolean {
  return one !== undefined && isSameIdentity(one, other);
}
