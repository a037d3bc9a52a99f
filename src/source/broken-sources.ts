/** The sources whose own files cannot be read: why, since when, and what is served instead. */
import { PosixError } from '../errors.ts';
import type { Logger } from '../logger.ts';

/** A source whose own file is not served. */
export interface BrokenSource {
  readonly id: number;
  readonly path: Buffer;
  readonly reason: string;
  readonly sinceMs: number;
  /** The copy that is served instead. Absent: reads fail. */
  readonly spare?: Buffer;
}

interface Trouble {
  readonly broken: BrokenSource;
  readonly triedAt: number;
  /** True: it opens, but reads of it fail: a dying disk. Only a read that succeeds ends this. */
  readonly unreadable: boolean;
}

export interface TroubleFound {
  readonly path: Buffer;
  readonly reason: string;
  readonly spare: Buffer | undefined;
  readonly unreadable: boolean;
}

export class BrokenSources {
  readonly #logger: Logger;
  readonly #troubles = new Map<number, Trouble>();
  readonly #wrong = new Map<number, { readonly broken: BrokenSource; readonly doubt: number }>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  list(): BrokenSource[] {
    const unread = [...this.#troubles.values()].map(({ broken }) => broken);
    return [...unread, ...[...this.#wrong.values()].map(({ broken }) => broken)];
  }

  /** Notes that a source can be read, and some bytes of it are wrong since this doubt. */
  noteWrong(id: number, path: Buffer, reason: string, doubt: number): void {
    const sinceMs = this.#wrong.get(id)?.broken.sinceMs ?? Date.now();
    this.#wrong.set(id, { broken: { id, path, reason, sinceMs }, doubt });
  }

  /** Forgets what was wrong with a source if it is another file now. */
  judged(id: number, doubt: number): void {
    if (this.#wrong.size > 0 && this.#wrong.get(id)?.doubt !== doubt) this.#wrong.delete(id);
  }

  /** Tells if a source can be read, and some bytes of it are wrong. */
  hasWrong(id: number): boolean {
    return this.#wrong.has(id);
  }

  has(id: number): boolean {
    return this.#troubles.has(id);
  }

  /** Refuses a source that was tried within the last `ms`, and has no spare. @throws EIO */
  refuseAgain(id: number, ms: number): void {
    const trouble = this.#troubles.get(id);
    if (trouble === undefined || trouble.broken.spare !== undefined) return;
    if (performance.now() - trouble.triedAt < ms) throw new PosixError('EIO', trouble.broken.reason);
  }

  /** Has the next reader try at once. */
  retry(id: number): void {
    this.#wrong.delete(id);
    const trouble = this.#troubles.get(id);
    if (trouble !== undefined) this.#troubles.set(id, { ...trouble, triedAt: Number.NEGATIVE_INFINITY });
  }

  /** Notes that the source was opened. */
  opened(id: number): void {
    if (this.#troubles.get(id)?.unreadable !== true) this.healed(id);
  }

  /** Notes that the source was read. */
  healed(id: number): void {
    const trouble = this.#troubles.size === 0 ? undefined : this.#troubles.get(id);
    if (trouble === undefined) return;
    this.#troubles.delete(id);
    this.#logger.info(`${trouble.broken.path.toString()} can be read again, and is served`);
  }

  /** Notes why a source is not served. Returns the time since when, in milliseconds since 1970. */
  note(id: number, { path, reason, spare, unreadable }: TroubleFound): number {
    const before = this.#troubles.get(id);
    const sinceMs = before?.broken.sinceMs ?? Date.now();
    const broken: BrokenSource = { id, path, reason, sinceMs, ...(spare === undefined ? {} : { spare }) };
    this.#troubles.set(id, { broken, triedAt: performance.now(), unreadable });
    if (before !== undefined && (before.broken.spare === undefined) === (spare === undefined)) return sinceMs;
    const instead = spare === undefined ? 'reads of it fail' : `${spare.toString()} is served instead`;
    this.#logger.warn(`${path.toString()} is not served: ${reason}; ${instead}`);
    return sinceMs;
  }
}
