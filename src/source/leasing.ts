/** The leases of the sources that are served: which open files have them, and what a lease that is granted again says of a source. */
import type { Logger } from '../logger.ts';
import type { Difference, FileIdentity, RecordedSource } from './identity.ts';
import { isSame } from './identity.ts';
import { type LeaseCounts, LeasedSources, type LeaseOptions, type Writers } from './leased-sources.ts';
import type { OpenSources } from './open-sources.ts';
import { NotServed, type SourceFile } from './source-file.ts';

export interface LeasingParts extends LeaseOptions {
  readonly files: Pick<OpenSources, 'get' | 'values' | 'drop'>;
  readonly record: (id: number) => RecordedSource | undefined;
  /** What we keep ourselves is written to by nobody else. */
  readonly isKept: (file: SourceFile) => boolean;
  /** Opens a source that nobody has open. Undefined: somebody opens it now. @throws NotServed; EMFILE, ENFILE */
  readonly openFor: (id: number, record: RecordedSource) => Promise<SourceFile | undefined>;
  /** Notes a source that cannot be served. */
  readonly differs: (id: number, why: Difference) => void;
  /** Takes an open file for what it is now. False if it must not be served. */
  readonly judged: (file: SourceFile, found: FileIdentity) => boolean;
  /** Takes over the doubt that stays of a source to which nobody has written. */
  readonly unwritten: (file: SourceFile, doubtNow: () => number) => void;
  readonly writers?: Writers | undefined;
  readonly logger: Logger;
}

export class Leasing {
  readonly #parts: LeasingParts;
  readonly #leased: LeasedSources;
  /** Those that were opened only to try a lease. */
  readonly #forTry = new Set<SourceFile>();

  constructor(parts: LeasingParts) {
    this.#parts = parts;
    this.#leased = new LeasedSources({
      ...parts,
      open: () => [...parts.files.values()].filter((file) => !parts.isKept(file)),
      onTried: async (file, hasNoWriter) => await this.#tried(file, hasNoWriter),
      reopen: async (id) => await this.#tryAgain(id),
    });
  }

  get counts(): LeaseCounts {
    return this.#leased.counts;
  }

  /** Tells if a file has a lease, and no writer waits for it. */
  isHeld(file: SourceFile): boolean {
    return this.#leased.isHeld(file);
  }

  /** Waits until it is known whether a file gets the lease that was asked for; undefined: that is known. */
  answered(file: SourceFile): Promise<unknown> | undefined {
    return this.#leased.answered(file);
  }

  /** Notes that a source is open, and in which condition: it gets a lease if it may have one. */
  noteOpen(file: SourceFile): void {
    if (!this.#parts.isKept(file)) this.#leased.noteOpen(file);
  }

  /** Gives up the lease of a file that is about to be closed. The descriptor may be closed when this resolves. */
  closing(file: SourceFile): Promise<void> | undefined {
    return this.#leased.closing(file);
  }

  /** Takes up sources that were doubted since somebody opened them: what became of that is found out. */
  takeUp(ids: Iterable<number>): void {
    this.#leased.takeUp(ids);
  }

  close(): void {
    this.#leased.close();
  }

  /** Tries a lease on a source again. If nobody has it open, it is opened for that. */
  async #tryAgain(id: number): Promise<void> {
    const { files, record: recordOf, doubts, openFor, differs } = this.#parts;
    const [known, record] = [files.get(id), recordOf(id)];
    if (known !== undefined) return this.#leased.noteOpen(known);
    if (record === undefined || !doubts.wasOpened(id)) return;
    try {
      const file = await openFor(id, record);
      if (file?.users === 0) this.#forTry.add(file);
    } catch (error) {
      if (!(error instanceof NotServed)) throw error;
      differs(id, error.why);
    }
  }

  async #tried(file: SourceFile, hasNoWriter: boolean): Promise<void> {
    if (hasNoWriter) await this.#endDoubt(file);
    if (this.#forTry.delete(file) && file.users === 0) this.#parts.files.drop(file);
  }

  /** Nobody has a source open for writing that somebody had opened so. Trusts it if it is as recorded. */
  async #endDoubt(file: SourceFile): Promise<void> {
    const { files, doubts, judged, unwritten, unchanged, writers } = this.#parts;
    const found = await file.look();
    // The next writer may have come.
    if (file.closed || found === undefined || !this.#leased.isHeld(file)) return;
    if (!isSame(file.standing, found)) {
      if (!judged(file, found)) files.drop(file);
    } else if (file.difference === undefined) {
      unwritten(file, () => doubts.unwritten(file.id));
      writers?.gone(file);
      unchanged?.(file.id);
    }
  }
}
