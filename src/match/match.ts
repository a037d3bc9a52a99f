/**
 * Matching: decides which files of the collection supply which files of a torrent, and how much of that is proven.
 *
 * Glossary. A *candidate* is a collection file that might supply a torrent file. A *mode* is a way of finding
 * candidates (`MATCH_MODES`), tried in that order; a file ends with the first that supplies it. The *hash modes* take
 * candidates of other names and sizes, and map only what pieces prove (`align.ts`), and at most the edges beside it (`edges.ts`).
 * *Likeness* orders the candidates of one file: how far their folders resemble the torrent's path. A piece of which
 * one file alone (with pads) holds all bytes is the file's *own*; a piece with bytes of several is *shared*.
 * `docs/matching.md` has the steps in order, what is tried where pieces disagree, and the limits.
 * To *look* at a candidate is to lstat it now: the index only knows what was there at the last rebuild.
 *
 * Invariants:
 * - Everything mapped was looked at: a regular file of the wanted size, not on one of our own mounts.
 * - A bit of `verified` is set only for a piece whose hashes (SHA-1, merkle tree, in hybrid torrents both) were computed from
 *   the match's own extents and agreed.
 * - Nothing that was hashed and failed is mapped, unless another file is to blame for it (see `verify-shared.ts`).
 * - Name and size alone map nothing, except with `verify = none`: a torrent is hostile input, and may name any file of the
 *   collection. Each mapped file has bytes in a verified piece. A file without a piece of its own is mapped only where its
 *   pieces are verified, since the piece beside it may prove a single byte of it.
 * - Two files of a torrent share a source only where no other candidate was left.
 */
import type { Extent } from '../extent/extent.ts';
import type { Metainfo } from '../metainfo/metainfo.ts';
import type { FileCode } from '../plan/file-code.ts';
import type { FileStatus, PlanSource } from '../plan/plan.ts';

/** The modes, in the order in which they are tried. */
export const MATCH_MODES = ['exact', 'unsplitable', 'normal', 'hash_name', 'hash_size', 'hash_slow'] as const;
export type MatchMode = (typeof MATCH_MODES)[number];
export const HASH_MODES = ['hash_name', 'hash_size', 'hash_slow'] as const;
export type HashMode = (typeof HASH_MODES)[number];

/** The supplier of a file: a mode, or an archive that holds it if no mode finds it (`archived.ts`). */
export type Supplier = MatchMode | 'archive';

export function isHashMode(mode: Supplier): mode is HashMode {
  return (HASH_MODES as readonly Supplier[]).includes(mode);
}

/**
 * How much is hashed before a candidate is believed. `none`: nothing. `probe`: the first, the last and a few own pieces
 * between, and all shared pieces. `full`: every piece.
 */
export type VerifyLevel = 'none' | 'probe' | 'full';

/** `full-if-whole`: `probe`; then `full`, if nothing is missing. */
export type VerifyGoal = VerifyLevel | 'full-if-whole';

/** A candidate that was not taken. */
export interface Refused {
  readonly source: Buffer;
  readonly code: Extract<
    FileCode,
    'changed' | 'hash-mismatch' | 'unproven' | 'ignored' | 'growing' | 'link' | 'unreadable' | 'disk-away'
  >;
}

export interface FileMatch {
  readonly status: FileStatus;
  /** The mode that supplied it. */
  readonly mode: Supplier | 'none';
  readonly code: FileCode;
  /** One sentence. */
  readonly reason: string;
  /** Cover the file from 0 to its length; `source` is an index into the match's `sources`. */
  readonly extents: readonly Extent[];
  /** Candidates that were looked at and not taken; not more than `MAX_REFUSED`. */
  readonly refused: readonly Refused[];
}

/** Refused candidates that are kept for one file. */
export const MAX_REFUSED = 32;

export interface TorrentMatch {
  /** The given name: the .torrent's file name without its extension. */
  readonly name: string;
  readonly metainfo: Metainfo;
  /** The verify level that was used. */
  readonly verify: VerifyLevel;
  readonly sources: readonly PlanSource[];
  /** In the torrent's own order, pads included. */
  readonly files: readonly FileMatch[];
  /** One bit a piece, most significant bit first. */
  readonly verified: Buffer;
  readonly verifiedPieces: number;
  /** Bytes of all files but pads. */
  readonly wantedBytes: number;
  /** Of these, bytes that no source supplies. */
  readonly missingBytes: number;
  /** One sentence over the whole torrent. */
  readonly reason: string;
  /** For a whole torrent that the `exact` mode found: the folder that holds its name. */
  readonly original?: Buffer;
}
