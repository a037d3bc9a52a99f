/**
 * What the readers of sources are told about their doubts, and what they tell (`docs/sources.md`).
 *
 * A *doubt* is the epoch since which a source is not believed; 0: it is trusted.
 */
import type { Difference, FileIdentity } from './identity.ts';

/** A look at a source. */
export interface SeenSource {
  readonly identity: FileIdentity;
  /** The open file. */
  readonly fd: number;
  /** No name leads to it any more: another file, or none, is at its path. */
  readonly unlinked: boolean;
}

export interface SourceDoubts {
  /** The doubt of a source. */
  of(id: number): number;
  /**
   * Notes that a source is not what was recorded; `seen` is absent where no file can be read. Returns its doubt, or
   * undefined if it must not be served.
   */
  differs(id: number, why: Difference, seen: Omit<SeenSource, 'fd'> | undefined): number | undefined;
  /** Notes that a source is what was recorded. Returns the doubt that stays. */
  asRecorded(id: number, seen: SeenSource): number;
  /** Notes that sources do not have the bytes of a piece. */
  wrong(ids: readonly number[], piece: number): void;
  /** Asks that the cases of sources be settled at once. False if nobody does that. */
  urgent(ids: readonly number[]): boolean;
}
