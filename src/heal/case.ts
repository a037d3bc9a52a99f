/**
 * Settling: finds out what happened to sources that are not as recorded (docs/sources.md, "How a case is settled").
 *
 * Glossary. A *case* is a source whose record does not lead to its bytes. A *proposal* is a file that may have them. A case
 * ends with an *outcome*: the record leads to a file again (`same`), a file of an entry is mapped anew (`remap`), or the
 * source is `waiting` for its disk, or `lost`. `later`: nothing is decided now.
 *
 * Invariants:
 * - Every proposal is opened by `source/open-source.ts`, below a disk, and compared. What proposed it proves nothing.
 * - Nothing is trusted but what the identity proves (size, mtime and ctime as recorded) or what was hashed in full. All else
 *   becomes doubted: the server hashes each piece before it serves it.
 * - Nothing is lost while a disk is away, while many others are gone with it, while a copy of it still grows, or before an index
 *   was asked that was begun after it left its place.
 * - Nothing here writes: the server applies outcomes, and only if the record is still the one that was judged.
 */
import type { ConditionState } from '../source/condition.ts';
import type { FileHandle, FileIdentity, RecordedSource } from '../source/identity.ts';

/** A recorded file without its spares. */
export type HealRecord = Omit<RecordedSource, 'spares'>;

/** A source and what is known of its trouble. */
export interface Case {
  readonly id: number;
  readonly record: HealRecord;
  /** Records of files with the same bytes, the best first. */
  readonly spares: readonly HealRecord[];
  /** Records of what was kept of it: its bytes at their places, and holes. Their ctimes mean nothing. */
  readonly kept: readonly HealRecord[];
  readonly state: ConditionState;
  /** A predicate, to follow the file's name. */
  readonly reason: string;
  /** Milliseconds since 1970. */
  readonly sinceMs: number;
  /** The file that stood in its place when the condition began. */
  readonly observed?: FileIdentity;
  /** Pieces of that file, or of the recorded one if none stood there, were hashed and did not agree. */
  readonly failed?: true;
  /** True if somebody was seen to delete it: then it does not wait for a disk to come back. */
  readonly seenDeleted: boolean;
  /** True if the user gave it up (`verify --give-up`). */
  readonly givenUp: boolean;
}

/** The state of the record that was judged. */
export type Was = Pick<HealRecord, 'path' | 'size' | 'mtimeNs' | 'ctimeNs'>;

/** What a record becomes. */
export interface Now extends FileIdentity {
  readonly path: Buffer;
  readonly handle?: FileHandle;
  readonly disk?: string;
}

/** A range of a torrent's file: `source` is an index into the outcome's `sources`. */
export interface MappedRange {
  readonly offset: number;
  readonly length: number;
  readonly source: number;
  readonly sourceOffset: number;
}

export type Outcome =
  | {
      readonly kind: 'same';
      readonly id: number;
      readonly was: Was;
      readonly now: Now;
      readonly trusted: boolean;
      readonly how: string;
    }
  | Remap
  | { readonly kind: 'waiting'; readonly id: number; readonly reason: string; readonly disk?: string }
  | { readonly kind: 'lost'; readonly id: number; readonly reason: string }
  | {
      readonly kind: 'later';
      readonly id: number;
      readonly reason: string;
      /** Nothing more is found before the index is renewed. */
      readonly awaits?: 'index';
      /** Milliseconds after which it can be judged: the next look is not put off for longer. */
      readonly due?: number;
    };

/**
 * Maps the ranges of one file that named source `id` anew; with `GAP`, those that were missing. What `ranges` leaves out stays with that source, and what names a
 * source with `LOST_CTIME_NS` is lost.
 */
export interface Remap {
  readonly kind: 'remap';
  readonly id: number;
  readonly infoHash: string;
  /** The file's index in the torrent. */
  readonly index: number;
  /** The version of the file's extents that was judged. */
  readonly version: number;
  /** The number of the entry's last change when its files were listed (`HealEntry.since`). */
  readonly since: number;
  /** The newest doubt then: what was hashed says nothing of younger ones. */
  readonly epoch: number;
  readonly ranges: readonly MappedRange[];
  readonly sources: readonly Now[];
  /** Pieces of the torrent that were hashed as they are mapped now, and agree. */
  readonly proven: readonly number[];
  readonly how: string;
}

/** The ctime of a record that stands for bytes which are nowhere: no file has it. */
export const LOST_CTIME_NS = 0n;

export function wasOf({ path, size, mtimeNs, ctimeNs }: HealRecord): Was {
  return { path, size, mtimeNs, ctimeNs };
}
