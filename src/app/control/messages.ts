/**
 * What the control socket carries, and what `--json` prints: one shape for both, in snake_case.
 *
 *     GET    /v1/status                  StatusMessage
 *     GET    /v1/entries                 EntryMessage[]
 *     GET    /v1/entries/ID              EntryMessage
 *     GET    /v1/entries/ID/files        FileMessage, one JSON document a line (application/x-ndjson)
 *     GET    /v1/entries/ID/metainfo     the raw .torrent
 *     GET    /v1/entries/ID/pieces       the piece map: one bit a piece, most significant first, set: verified
 *     POST   /v1/entries[?directory=DIR] a plan in its binary codec; 201 and EntryMessage. With DIR (percent-encoded)
 *                                        the entry is external: listed only, the client works in DIR
 *     PUT    /v1/entries/ID/names        NamesRequest; 204
 *     POST   /v1/entries/ID/added        204
 *     DELETE /v1/entries/ID              204
 *     POST   /v1/entries/ID/verification VerificationBegun: what `PUT` needs, asked before the files are listed
 *     PUT    /v1/entries/ID/verification VerificationRequest; EntryMessage
 *     POST   /v1/entries/ID/pool?file=N  the file at index N, all of it written and verified, to the pool; PoolMessage
 *     POST   /v1/turn                    200 when nobody else adds; the turn ends with the connection
 *     POST   /v1/shutdown                202; the connection ends when the mount has gone
 *
 * ID is an info hash (40 hex digits), the first 8 or more of it, or an entry's name, percent-encoded.
 * Every failure is `{"error": {"code", "message", "hint"?}}`; `code` is an `ErrorCode`.
 */
import type { ErrorCode } from '../../errors.ts';

export interface ErrorMessage {
  readonly error: { readonly code: ErrorCode | 'INTERNAL'; readonly message: string; readonly hint?: string };
}

export interface EntryMessage {
  readonly name: string;
  /** 40 hex digits. */
  readonly info_hash: string;
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
  readonly state: 'present' | 'deleted' | 'replaced';
  /** The scan mode that supplied it. */
  readonly mode: string;
  readonly extents: readonly ExtentMessage[];
}

export interface StatusMessage {
  readonly version: string;
  readonly pid: number;
  readonly driver: string;
  readonly mount_point: string;
  /** Who can see the mount. */
  readonly visible_to: 'everyone' | 'owner';
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
}

export interface NamesRequest {
  /** By file index: components below the entry's directory; null where the torrent's own name stays. */
  readonly names: readonly (readonly string[] | null)[];
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
