/** The domain types of sources and cases on the control socket; `case-codec.ts` translates them. */
import type { Extent } from '../extent/extent.ts';
import type { Case, HealRecord } from '../heal/case.ts';
import type { Condition } from '../source/condition.ts';
import type { FileIdentity } from '../source/identity.ts';

export interface KnownSource {
  readonly id: number;
  readonly record: HealRecord;
  /** Absent: it is trusted. */
  readonly condition?: Pick<Condition, 'state' | 'reason' | 'sinceMs' | 'observed' | 'failed'>;
  /** What happened last to it. */
  readonly last?: { readonly how: string; readonly atMs: number };
  /** The entries that use it, if they were asked for. */
  readonly infoHashes?: readonly string[];
}

/** A case that is due. */
export interface CaseTicket {
  readonly one: Case;
  /** A reader waits for it. */
  readonly urgent: boolean;
  /** The entries that use the source. */
  readonly infoHashes: readonly string[];
}

/** A source that somebody found not to be as recorded. */
export interface SuspectSource {
  readonly id: number;
  /** A predicate. */
  readonly reason: string;
  /** Absent: no file is there. */
  readonly found?: FileIdentity;
}

/**
 * How an entry is mapped, in parts: the number of its last change, the sources that files name, and the files. `extents` name
 * source ids, `ZEROS`, `GAP` or `OVERLAY`.
 */
export type MappingPart =
  /** `places`: where files have come to that may have what is missing. */
  | { readonly since: number; readonly epoch: number; readonly places: readonly Buffer[] }
  | { readonly source: KnownSource }
  | {
      readonly file: {
        readonly index: number;
        readonly version: number;
        readonly extents: readonly Extent[];
        /** The file with what a client wrote. */
        readonly overlay: string | undefined;
      };
    };
