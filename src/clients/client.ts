/**
 * What autotorrent asks of a torrent client, the same for each.
 *
 * Every call has a time limit of its own and throws `AutotorrentError('CLIENT')` when the client cannot be reached,
 * refuses, or answers nonsense: replies are hostile input. "The client does not have it" is a return value.
 */
import type { AutotorrentError } from '../errors.ts';
import type { Metainfo } from '../metainfo/metainfo.ts';

export interface ClientDescription {
  /** As the client names itself: `Transmission`. */
  readonly name: string;
  readonly version: string;
}

/** What a torrent does in its client, in one word for all clients. */
export type TorrentActivity = 'checking' | 'downloading' | 'seeding' | 'stopped' | 'queued' | 'error';

export interface TorrentState {
  /** 40 hex digits, lower case. */
  readonly infoHash: string;
  readonly name: string;
  readonly activity: TorrentActivity;
  /** 0 to 1: share of the wanted bytes that the client has. While checking: how far the check is. */
  readonly progress: number;
  /** The client's own words where it reports an error or a warning. */
  readonly message?: string;
  /** The client has only begun to look at it, and may find that it is stopped, or anything else; or it hangs there. */
  readonly unsettled?: true;
}

/** What a client may be told of a file, so that it need not check it. */
export interface FileResume {
  /**
   * `known`: of every piece of it, it is known that it is right (`verified`) or that it is missing (`gaps`).
   * `missing`: a gap as a whole, to be downloaded. `unchecked`: mapped but not verified; the client must check it.
   */
  readonly state: 'known' | 'missing' | 'unchecked';
  /** As stat shows it in the mount, milliseconds. */
  readonly mtimeMs: number;
}

export interface AddRequest {
  readonly metainfo: Metainfo;
  /** The folder in which the client is to look for the torrent's name, as the client sees it. */
  readonly directory: string;
  /** Absent: the client checks everything by itself; see `takesWord`. One element a file, in the torrent's order. */
  readonly resume?: {
    readonly files: readonly FileResume[];
    /** One bit a piece, most significant bit first: hashed, and right. */
    readonly verified: Buffer;
    /** The same: some of its bytes are nowhere, it is to be downloaded. */
    readonly gaps: Buffer;
  };
}

export type AddResult =
  | {
      readonly outcome: 'added';
      /**
       * The names under which the client will look the files up, by file index: components below `directory`, where
       * they differ from the torrent's own; undefined where the client names them as the torrent does.
       */
      readonly names?: readonly (readonly string[])[];
    }
  | { readonly outcome: 'exists' }
  /** This torrent alone; nothing of it is left in the client. */
  | { readonly outcome: 'failed'; readonly error: AutotorrentError };

/** A torrent by both its info hashes. */
export interface TorrentHashes {
  readonly infoHash: string;
  /** 64 hex digits. */
  readonly infoHashV2: string;
}

export interface TorrentClient {
  /**
   * Tells which hybrid torrents there are, before they are asked about by their v1 info hash: the client may know them by
   * the v2 one alone. Absent where it does not.
   */
  introduce?(torrents: readonly TorrentHashes[]): void;
  /**
   * Whether the client takes our word for every piece of this torrent, so that it reads no data when it is added with
   * `resume`. `whole`: every piece is verified; false: the others are gaps. Where this is false, the client hashes the
   * data by itself, whatever it is told.
   */
  takesWord(metainfo: Metainfo, whole: boolean): boolean;
  /** Connects, and says what answered. */
  describe(): Promise<ClientDescription>;
  /** The torrents the client has, or those of `infoHashes` that it has. Constant number of calls. */
  list(infoHashes?: readonly string[]): Promise<TorrentState[]>;
  /**
   * Adds torrents stopped, labelled as configured, and tells the names it will look for: one result each, in the order
   * of `requests`. Throws only where the client cannot be talked to at all; nothing that it began is then left in the
   * client, where it can be reached once more.
   */
  add(requests: readonly AddRequest[]): Promise<AddResult[]>;
  /** Starts stopped torrents. This and the next three give those of `infoHashes` that the client has, in few calls. */
  start(infoHashes: readonly string[]): Promise<string[]>;
  /** When it resolves they have stopped: a start after it is not lost. */
  stop(infoHashes: readonly string[]): Promise<string[]>;
  /** Makes the client hash the torrents' data again. */
  recheck(infoHashes: readonly string[]): Promise<string[]>;
  /**
   * Removes torrents from the client and leaves their data; `withData`: the client deletes that, too. rTorrent cannot:
   * its data stays, to be deleted by whoever owns it.
   */
  remove(infoHashes: readonly string[], options?: { readonly withData?: boolean }): Promise<string[]>;
  /** Ends connections that were kept open. */
  close(): Promise<void>;
}
