/**
 * The messages of the control socket, in snake_case: no other file has their shapes. `codec.ts` and `requests.ts` translate
 * them.
 *
 *     GET    /v1/status                  StatusMessage
 *     GET    /v1/entries                 EntryMessage[]
 *     GET    /v1/entries/ID              EntryMessage
 *     GET    /v1/entries/ID/files        FileMessage, one JSON document a line (application/x-ndjson)
 *     GET    /v1/entries/ID/metainfo     the raw .torrent
 *     GET    /v1/entries/ID/pieces       the piece map: one bit a piece, most significant first, set: verified
 *     POST   /v1/entries[?directory=DIR] a plan in its binary codec, of a known length; 201 and EntryMessage. With DIR (percent-encoded)
 *                                        the entry is external: listed only, the client works in DIR
 *     PUT    /v1/entries/ID/names        NameLine, one JSON document a line, in the order of the torrent's files; 204
 *     DELETE /v1/entries/ID              204
 *     POST   /v1/entries/ID/verification VerificationBegun: what `PUT` needs, asked before the files are listed
 *     PUT    /v1/entries/ID/verification VerificationRequest; EntryMessage
 *     POST   /v1/entries/ID/pool?file=N  the file at index N, all of it written and verified, to the pool; PoolMessage
 *     GET    /v1/entries/ID/differences  DifferenceLine, one JSON document a line: what is not as it was planned
 *     POST   /v1/entries/ID/discard      DiscardRequest; DiscardMessage
 *     POST   /v1/added                   AddedMessage: clients have these; AddedMessage: those of which there is an entry
 *     POST   /v1/turn                    200 when nobody else adds; the turn ends with the connection
 *     POST   /v1/shutdown                202; ShutdownLine, one JSON document a line, as it comes; the connection ends when
 *                                        the mount has gone
 *
 * ID is an info hash (40 hex digits), the first 8 or more of it, or an entry's name, percent-encoded.
 * Every failure is `{"error": {"code", "message", "hint"?}}`; `code` is an `ErrorCode`.
 */
import type { ErrorCode } from '../errors.ts';

export interface ErrorMessage {
  readonly error: { readonly code: ErrorCode | 'INTERNAL'; readonly message: string; readonly hint?: string };
}

export interface EntryMessage {
  readonly name: string;
  /** 40 hex digits. */
  readonly info_hash: string;
  /** 64 hex digits, of hybrid and v2 torrents: some clients know them by its first 40. */
  readonly info_hash_v2?: string;
  readonly state: 'adding' | 'added';
  /** `external`: seeded from the original folder, listed only. */
  readonly kind: 'mount' | 'external';
  /** The folder a client is given: it looks for `torrent_name` in it. */
  readonly directory: string;
  readonly torrent_name: string;
  /** ISO 8601. */
  readonly created: string;
  /** Bytes. */
  readonly size: number;
  readonly mapped_bytes: number;
  /** Supplied by nobody when it was planned; written by a client and verified since. */
  readonly downloaded_bytes: number;
  readonly missing_bytes: number;
  readonly files: number;
  readonly pieces: number;
  readonly verified_pieces: number;
  readonly verify: 'none' | 'probe' | 'full';
  readonly health: 'ok' | 'broken';
}

export interface ExtentMessage {
  readonly offset: number;
  readonly length: number;
  /** An absolute path; `null`: zeros (a pad file) or a gap, which `kind` tells apart. */
  readonly source: string | null;
  /** The path's bytes in base64, where it is not UTF-8. */
  readonly source_bytes?: string;
  readonly source_offset: number;
  /** `overlay`: written by a client, kept in the state folder. */
  readonly kind: 'source' | 'zeros' | 'gap' | 'overlay';
}

export interface FileMessage {
  /** Below the entry's directory, `/` between components. */
  readonly path: string;
  readonly length: number;
  readonly status: 'mapped' | 'resized' | 'partial' | 'missing' | 'pad';
  /** What clients made of it: `replaced` by a file of theirs. */
  readonly state: 'present' | 'moved' | 'deleted' | 'replaced';
  /** The scan mode that supplied it. */
  readonly mode: string;
  readonly extents: readonly ExtentMessage[];
  /** Bytes of it that clients wrote, in so many ranges. */
  readonly written_bytes: number;
  readonly written_ranges: number;
}

export interface StatusMessage {
  readonly version: string;
  readonly pid: number;
  readonly driver: string;
  readonly mount_point: string;
  /** Who can see the mount. */
  readonly visible_to: 'everyone' | 'owner';
  /** Mounted so that no client can write. */
  readonly read_only: boolean;
  readonly uptime_seconds: number;
  readonly entries: number;
  /** Entries that no client confirmed yet. */
  readonly adding: number;
  readonly opens: number;
  readonly open_handles: number;
  readonly reads: number;
  readonly bytes_read: number;
  readonly read_errors: number;
  /** Sources that are not what they were when they were matched; `served_from`: the copy that is served instead. */
  readonly broken_sources: readonly {
    readonly path: string;
    readonly reason: string;
    readonly served_from?: string;
  }[];
  readonly broken_entries: readonly string[];
  readonly writes: number;
  readonly bytes_written: number;
  /** What the overlay's folder takes on its disk; null while it is being counted for the first time. */
  readonly overlay_bytes: number | null;
  /** Overlay files that do not fit the store. */
  readonly overlay_problems: readonly { readonly path: string; readonly problem: string }[];
}

/** Components below the entry's directory; null where the torrent's own name stays. */
export type NameLine = readonly string[] | null;

export interface AddedMessage {
  /** 40 hex digits each. */
  readonly info_hashes: readonly string[];
}

/** A warning: a client could not be told to stop. */
export interface ShutdownLine {
  readonly warning: string;
}

export interface VerificationBegun {
  /** The number of the last change. */
  readonly since: number;
}

export interface VerificationRequest extends VerificationBegun {
  /** Bitfields of the pieces that agreed, and of those that did not, in base64. */
  readonly good: string;
  readonly bad: string;
}

/** Neither: it is not whole any more. */
export interface PoolMessage {
  /** Its place in the pool. */
  readonly pooled?: string;
  /** Why it stays where it is. */
  readonly kept?: string;
}

/** A file, folder or name that is not as it was planned. */
export interface DifferenceMessage {
  /** Below the entry's directory, as the torrent has it; of what a client made, where it is. */
  readonly path: string;
  readonly type: 'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'block' | 'character';
  /**
   * `written`: `ranges` are the client's. `resized`: it has another size than planned, or bytes were cut off.
   * `touched`: its time was set. `moved`: it has other names, `named`. `deleted`: it has none. `replaced`: a file that a
   * client made has its name. `made`: a client made it.
   */
  readonly changes: readonly ('written' | 'resized' | 'touched' | 'moved' | 'deleted' | 'replaced' | 'made')[];
  readonly size: number;
  /** Null: nothing was planned here. */
  readonly planned_size: number | null;
  /** From here to the planned end, what is not written reads as zeros. */
  readonly base_size: number;
  /** Of what a client made, and of what has a replaced file's name: all of it. */
  readonly written_bytes: number;
  /** `[offset, end)`, in blocks of 4 KiB, of what is written over the file. */
  readonly ranges: readonly (readonly [offset: number, end: number])[];
  readonly named: readonly string[];
}

/** Further ranges of the document before it: a file may have millions. */
export interface MoreRanges {
  readonly more_ranges: DifferenceMessage['ranges'];
}

export type DifferenceLine = DifferenceMessage | MoreRanges;

export interface DiscardRequest {
  /** Paths below the entry's directory, of files and of folders; absent: all of it. */
  readonly files?: readonly string[];
}

export interface DiscardMessage {
  /** How many differences are no more. */
  readonly discarded: number;
  /** What they had written. */
  readonly bytes: number;
  /** Files that could not have their names back. */
  readonly kept: readonly { readonly path: string; readonly reason: string }[];
}
