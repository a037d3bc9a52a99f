/**
 * A plan: the content of a future entry. The command that matched the torrent decides it once, and the server stores it as
 * it is.
 * Invariants: extents of a file cover it exactly (see `extent/extent.ts`); an extent's `source` is an index into
 * `sources`; a bit of `verified` is set only for a piece whose hash was computed from these extents and agreed.
 */
import type { Extent } from '../extent/extent.ts';
import type { RecordedSource } from '../source/identity.ts';
import type { FileCode } from './file-code.ts';

/** A collection file as it was when the plan was made. */
export interface PlanSource extends RecordedSource {
  /** Indices into `sources` of files that hold the same, verified bytes. */
  readonly spares: readonly number[];
}

export type FileStatus = 'mapped' | 'resized' | 'partial' | 'missing' | 'pad';

export interface PlanFile {
  /** Components below the entry's folder: the torrent's name first. */
  readonly path: readonly string[];
  readonly length: number;
  readonly status: FileStatus;
  /** The scan mode that found it, or `none`. */
  readonly mode: string;
  /** The reason for its status. */
  readonly code: FileCode;
  /** The mtime that the mount shows: the source's, or the time of planning if there is none. Milliseconds. */
  readonly mtimeMs: number;
  readonly executable: boolean;
  readonly extents: readonly Extent[];
  /** BEP 47: the target's components below the torrent's own folder. Such a file has no bytes. */
  readonly symlink?: readonly string[];
}

export interface Plan {
  /** The wanted name of the entry: the .torrent's file name without its extension. */
  readonly name: string;
  /** 40 hex digits. */
  readonly infoHash: string;
  /** 64 hex digits, of hybrid and v2 torrents. */
  readonly infoHashV2?: string;
  /** The raw .torrent. */
  readonly metainfo: Buffer;
  readonly pieceCount: number;
  readonly pieceLength: number;
  /** True for a v2-only torrent: each file begins at a piece boundary. Otherwise files lie end to end. */
  readonly aligned?: true;
  /** One bit a piece, most significant bit first, as in BitTorrent's bitfield message. */
  readonly verified: Buffer;
  /** The verify level that was used: it gives an unset bit its meaning. */
  readonly verify: 'none' | 'probe' | 'full';
  readonly totalLength: number;
  /** Bytes that no source supplies. */
  readonly missingBytes: number;
  readonly sources: readonly PlanSource[];
  /** In the torrent's own order, pads included: the position is the client's file index. */
  readonly files: readonly PlanFile[];
}
