/**
 * The messages of the control socket, in snake_case: no other file has their shapes. `codec.ts` and `requests.ts` translate
 * them.
 *
 *     GET    /v1/status                  StatusMessage
 *     GET    /v1/entries                 EntryMessage[]
 *     GET    /v1/entries/ID              EntryMessage
 *     GET    /v1/entries/ID/files        FileMessage, one JSON document a line (application/x-ndjson)
 *     GET    /v1/entries/ID/sources      SourceMessage, one JSON document a line: the sources that changed
 *     GET    /v1/entries/ID/metainfo     the raw .torrent
 *     GET    /v1/entries/ID/pieces       the piece map: one bit a piece, most significant first, set: verified
 *     POST   /v1/entries[?directory=DIR] a plan in its binary codec, read while it arrives; 201 and EntryMessage. With DIR (percent-encoded)
 *                                        the entry is external: listed only, the client works in DIR
 *     PUT    /v1/entries/ID/names        NameLine, one JSON document a line, in the order of the torrent's files; 204
 *     DELETE /v1/entries/ID              204
 *     POST   /v1/entries/ID/verification VerificationBegun: what `PUT` needs, asked before the files are listed
 *     PUT    /v1/entries/ID/verification VerificationRequest; EntryMessage
 *     POST   /v1/entries/ID/pool?file=N  the file at index N, all of it written and verified, to the pool; PoolMessage
 *     POST   /v1/entries/ID/protect      has its sources pinned, however long it takes; PinnedMessage
 *     GET    /v1/due?DUE                 DueMessage, one JSON document a line: the entries with pieces to hash
 *     GET    /v1/entries/ID/due?DUE      one byte for each piece: why it is due (`served.ts`). DUE: days=N, and 1 for `all`, `again`
 *     POST   /v1/entries/ID/damage       DamageMessage: sources whose bytes do not agree; 204
 *     GET    /v1/entries/ID/differences  DifferenceLine, one JSON document a line: what is not as it was planned
 *     POST   /v1/entries/ID/discard      DiscardRequest; DiscardMessage
 *     GET    /v1/entries/ID/losses       LossesMessage
 *     POST   /v1/entries/ID/gaps         what is lost becomes gaps: no client may run the torrent; GapsMessage
 *     POST   /v1/entries/ID/returned     bytes that were missing are mapped: its clients are told; 204
 *     POST   /v1/entries/ID/repair       RepairMessage, one JSON document a line, as it comes: has it repaired, whatever the limits
 *     POST   /v1/added                   AddedMessage: clients have these; AddedMessage: those of which there is an entry
 *     POST   /v1/release                 ReleaseRequest: closes every file of a disk; ReleaseMessage
 *     POST   /v1/owner                   OwnerMessage: looks again whose the files in the mount are to be, and waits until they are
 *     POST   /v1/turn                    200 when nobody else adds; the turn ends with the connection
 *     POST   /v1/shutdown                202; ShutdownLine, one JSON document a line, as it comes; the connection ends when
 *                                        the mount has gone
 *
 * `case-messages.ts` has the routes about sources and their cases.
 * ID is an info hash (40 hex digits), the first 8 or more of it, or an entry's name, percent-encoded.
 * Every failure is `{"error": {"code", "message", "hint"?}}`; `code` is an `ErrorCode`.
 */
import type { ErrorCode } from '../errors.ts';
import type { IdentityMessage } from './case-messages.ts';

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
  /** In ISO 8601. */
  readonly created: string;
  /** In bytes. */
  readonly size: number;
  readonly mapped_bytes: number;
  /** Bytes without a source when planned, or deleted or overwritten since, which a client wrote and which were verified since. */
  readonly downloaded_bytes: number;
  readonly missing_bytes: number;
  readonly files: number;
  readonly deleted_files: number;
  /** Absent: an older version. */
  readonly overwritten_files?: number;
  readonly pieces: number;
  readonly verified_pieces: number;
  readonly verify: 'none' | 'probe' | 'full';
  readonly health: 'ok' | 'checking' | 'deleted' | 'overwritten' | 'healing' | 'waiting' | 'lost' | 'broken';
  /** Facts about a health that is not `ok`. */
  readonly health_detail?: {
    readonly sources?: number;
    readonly of_sources?: number;
    readonly disks?: readonly string[];
    readonly lost_bytes?: number;
    readonly downloading?: boolean;
    readonly reason?: string;
    readonly deleted_files?: number;
    readonly overwritten_files?: number;
  };
}

/** A source with another state than `trusted`, or with a story. */
export interface SourceMessage {
  readonly source: string;
  /** The path's bytes in base64, if it is not UTF-8. */
  readonly source_bytes?: string;
  readonly state: 'trusted' | 'doubted' | 'healing' | 'waiting' | 'lost';
  /** In ISO 8601. */
  readonly since?: string;
  readonly reason?: string;
  readonly story: readonly {
    readonly at: string;
    readonly from: string;
    readonly from_bytes?: string;
    readonly to: string;
    readonly to_bytes?: string;
    readonly how: string;
  }[];
}

export interface ExtentMessage {
  readonly offset: number;
  readonly length: number;
  /** An absolute path; `null`: zeros (a pad file) or a gap, as `kind` says. */
  readonly source: string | null;
  /** The path's bytes in base64, if it is not UTF-8. */
  readonly source_bytes?: string;
  readonly source_offset: number;
  /** `overlay`: written by a client, kept in the state folder. */
  readonly kind: 'source' | 'zeros' | 'gap' | 'overlay';
  readonly kept?: true;
  readonly pinned?: true;
  /** The state of a source that is not trusted. */
  readonly source_state?: 'doubted' | 'healing' | 'waiting' | 'lost';
}

export interface FileMessage {
  /** Below the entry's directory, `/` between components. */
  readonly path: string;
  readonly length: number;
  readonly status: 'mapped' | 'resized' | 'partial' | 'missing' | 'pad';
  /** `replaced`: a client's file has its name. */
  readonly state: 'present' | 'moved' | 'deleted' | 'replaced';
  /** The scan mode that supplied the file. */
  readonly mode: string;
  /** The reason for the status; absent in an entry of an older version. */
  readonly code?: string;
  readonly extents: readonly ExtentMessage[];
  /** Bytes that clients wrote, in this many ranges. */
  readonly written_bytes: number;
  readonly written_ranges: number;
}

export interface OwnerMessage {
  readonly uid: number;
  readonly gid: number;
  readonly from: 'configuration' | 'client' | 'server';
}

export interface StatusMessage {
  readonly version: string;
  readonly pid: number;
  readonly driver: string;
  /** What the driver makes use of. Absent: nothing, or an older version. */
  readonly driver_detail?: string;
  /** Why it is this driver. Absent: an older version. */
  readonly driver_reason?: string;
  readonly mount_point: string;
  /** Who can see the mount. */
  readonly visible_to: 'everyone' | 'owner';
  /** Whose the files in the mount are. Absent: an older version. */
  readonly owner?: OwnerMessage;
  /** True: clients cannot write. */
  readonly read_only: boolean;
  readonly uptime_seconds: number;
  readonly entries: number;
  /** Entries that no client has confirmed yet. */
  readonly adding: number;
  readonly deleted?: { readonly entries: number; readonly files: number };
  readonly overwritten?: { readonly entries: number; readonly files: number };
  readonly opens: number;
  readonly open_handles: number;
  readonly reads: number;
  readonly bytes_read: number;
  readonly read_errors: number;
  /** Sources that have changed since they were matched; `served_from`: the copy that is served instead. */
  readonly broken_sources: readonly {
    readonly path: string;
    readonly reason: string;
    readonly served_from?: string;
  }[];
  readonly broken_entries: readonly string[];
  /** The scrub in the background. Absent: an older version. */
  readonly scrub?: {
    readonly when: string;
    readonly state: 'off' | 'idle' | 'running' | 'paused';
    readonly progress?: { readonly name: string; readonly done_bytes: number; readonly total_bytes: number };
    readonly proven_pieces: number;
    readonly bad_pieces: number;
    readonly asleep: readonly string[];
  };
  /** Sources that are not trusted. Absent: an older version. */
  readonly sources?: {
    readonly doubted: number;
    readonly healing: number;
    readonly lost: number;
    readonly waiting: readonly { readonly disk: string; readonly sources: number }[];
  };
  /** How the sources are watched. Absent: an older version, as below. */
  readonly watch?: {
    readonly file_systems: readonly {
      readonly mount_point: string;
      readonly kind: 'fanotify-filesystem' | 'fanotify-folders' | 'inotify' | 'none';
      readonly marks: number;
      readonly unwatched: number;
      /** A predicate, to follow the folders that are not watched. */
      readonly why?: string;
      readonly overflows: number;
    }[];
    readonly asleep: readonly { readonly disk: string; readonly folders: number }[];
  };
  readonly healer?: {
    readonly open: number;
    readonly urgent: number;
    readonly settled: number;
    readonly oldest?: string;
  };
  readonly repair?: {
    readonly on_loss: 'repair' | 'tell';
    readonly queued: number;
    readonly spent_bytes: number;
    readonly limit_bytes: number;
  };
  readonly leases?: { readonly held: number; readonly awaited: number };
  readonly passthrough?: { readonly files: number; readonly changed: number };
  readonly kept?: readonly { readonly folder: string; readonly files: number; readonly bytes: number }[];
  readonly pins?: readonly { readonly folder: string; readonly files: number; readonly bytes: number }[];
  readonly descriptors?: {
    readonly sources: number;
    readonly held: number;
    readonly hanging_bytes: number;
  };
  readonly writes: number;
  readonly bytes_written: number;
  /** The space that the overlay's folder takes on its disk; null until it was measured once. */
  readonly overlay_bytes: number | null;
  /** Overlay files that do not match the store. */
  readonly overlay_problems: readonly { readonly path: string; readonly problem: string }[];
}

/** Components below the entry's directory; null keeps the torrent's own name. */
export type NameLine = readonly string[] | null;

export interface AddedMessage {
  /** 40 hex digits each. */
  readonly info_hashes: readonly string[];
}

/** A warning: a client could not be asked to stop. */
export interface ShutdownLine {
  readonly warning: string;
}

export interface VerificationBegun {
  /** The number of the last change. */
  readonly since: number;
  /** The newest epoch of doubts. In a request: what matched is proven at it. */
  readonly epoch?: number;
}

export interface VerificationRequest extends VerificationBegun {
  /** Bitfields of the pieces that matched, and of those that did not, in base64. */
  readonly good: string;
  readonly bad: string;
}

/** An entry with pieces that are due, by the reason. */
export interface DueMessage {
  readonly info_hash: string;
  readonly piece_length: number;
  readonly doubted: number;
  readonly unproven: number;
  readonly old: number;
}

export interface DamageMessage {
  readonly sources: readonly {
    /** The path's bytes in base64. */
    readonly path_bytes: string;
    /** A predicate. */
    readonly reason: string;
    /** Pieces that were hashed and did not agree, and the file of which they were. */
    readonly hashed?: { readonly pieces: readonly number[]; readonly file: IdentityMessage };
  }[];
}

/** Paths are text. */
export interface PinnedMessage {
  readonly sources: number;
  readonly bytes: number;
  readonly made: number;
  readonly off: number;
  readonly unpinned: readonly { readonly path: string; readonly reason: string }[];
}

/** Neither field: the file is no longer whole. */
export interface PoolMessage {
  /** The path in the pool. */
  readonly pooled?: string;
  /** The reason why it stays where it is. */
  readonly kept?: string;
}

export interface LossesMessage {
  readonly lost_bytes: number;
  /** Of all pieces that they touch. */
  readonly download_bytes: number;
  /** The number of other sources that cannot be read. */
  readonly unsettled: number;
  /** Ranges whose source is doubted, and not proven. */
  readonly doubted: readonly { readonly path: string; readonly offset: number; readonly length: number }[];
}

export interface GapsMessage {
  /** The bytes that have become gaps. */
  readonly bytes: number;
}

export interface RepairMessage {
  readonly outcome: 'repaired' | 'nothing' | 'gone' | 'told' | 'limited' | 'later' | 'checking';
  readonly bytes?: number;
  readonly message?: string;
}

/** Paths in base64. */
export interface ReleaseRequest {
  /** All places where the file system is mounted. */
  readonly mount_points: readonly string[];
  /** Folders that lead to it by a link. */
  readonly links: readonly string[];
}

export interface ReleaseMessage {
  /** Sources that wait until the disk is mounted again. */
  readonly sources: number;
  /** Files that could not be closed in time. */
  readonly open: number;
}

/** A file, folder or name that differs from the plan. */
export interface DifferenceMessage {
  /** Below the entry's directory, as in the torrent; for a file that a client made, its present path. */
  readonly path: string;
  readonly type: 'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'block' | 'character';
  /**
   * `written`: a client wrote `ranges`. `resized`: the size differs from the plan, or bytes were cut off. `touched`:
   * its time was set. `moved`: it has other names, `named`. `deleted`: it has none. `replaced`: a client's file has its
   * name. `made`: a client made it.
   */
  readonly changes: readonly ('written' | 'resized' | 'touched' | 'moved' | 'deleted' | 'replaced' | 'made')[];
  readonly size: number;
  /** Null: nothing was planned here. */
  readonly planned_size: number | null;
  /** From this offset to the planned end, unwritten bytes read as zeros. */
  readonly base_size: number;
  /** For a file that a client made, or that has a replaced file's name: its whole size. */
  readonly written_bytes: number;
  /** `[offset, end)`, in blocks of 4 KiB, written over the file. */
  readonly ranges: readonly (readonly [offset: number, end: number])[];
  readonly named: readonly string[];
}

/** Further ranges of the document before: a file may have millions. */
export interface MoreRanges {
  readonly more_ranges: DifferenceMessage['ranges'];
}

export type DifferenceLine = DifferenceMessage | MoreRanges;

export interface DiscardRequest {
  /** Paths below the entry's directory, of files and of folders; absent: everything. */
  readonly files?: readonly string[];
  /** Only the files that were deleted, or overwritten by nothing that is verified; without `files`. */
  readonly deleted?: true;
}

export interface DiscardMessage {
  /** The number of differences that are gone. */
  readonly discarded: number;
  /** The bytes that they had written. */
  readonly bytes: number;
  /** Files that could not get their names back. */
  readonly kept: readonly { readonly path: string; readonly reason: string }[];
}
