/**
 * The interface that every client's adapter has: what autotorrent asks of a torrent client.
 *
 * Every call has a time limit of its own, and throws `AutotorrentError('CLIENT')` when the client cannot be reached,
 * refuses, or answers nonsense: replies are hostile input. "The client does not have it" is a return value.
 */
import type { AutotorrentError } from '../errors.ts';
import type { Metainfo } from '../metainfo/metainfo.ts';

export interface ClientDescription {
  /** As the client names itself: `Transmission`. */
  readonly name: string;
  readonly version: string;
}

/**
 * What a torrent does in its client, in one word for all clients. A torrent that was started shows as `checking` (or
 * `queued`) until its client knows what is there: `seeding`, `downloading` and `error` after a start are the client's word
 * on the data, unless it was told to skip the check.
 */
export type TorrentActivity = 'checking' | 'downloading' | 'seeding' | 'stopped' | 'queued' | 'error';

export interface TorrentState {
  /** 40 hex digits, lower case. */
  readonly infoHash: string;
  readonly name: string;
  readonly activity: TorrentActivity;
  /** 0 to 1: the share of the wanted bytes that the client has; while checking, how far the check is. */
  readonly progress: number;
  /**
   * The folder in which the client looks for the torrent's name, without a `/` at its end, as the client spells it: rTorrent and
   * Transmission 3.00 spell characters beyond U+FFFF otherwise. Absent where the client does not say.
   */
  readonly directory?: string;
  /** The client's own words where it reports an error or a warning. */
  readonly message?: string;
  /** The client has only begun to look at the torrent: it may turn out to be stopped or anything else, or hang there. */
  readonly unsettled?: true;
}

/** Our knowledge of a file's pieces, for a client that takes our word for them. */
export interface FileResume {
  /**
   * `known`: each of its pieces is either verified (`verified`) or missing (`gaps`). `missing`: the whole file is a gap, to
   * be downloaded. `unchecked`: it is mapped but not verified, and the client must check it.
   */
  readonly state: 'known' | 'missing' | 'unchecked';
  /** In milliseconds, as stat shows it in the mount. */
  readonly mtimeMs: number;
}

export interface AddRequest {
  readonly metainfo: Metainfo;
  /** The folder in which the client is to look for the torrent's name, as the client sees it. */
  readonly directory: string;
  /** Absent: the client checks everything by itself; see `takesWord`. One element a file, in the torrent's order. */
  readonly resume?: {
    readonly files: readonly FileResume[];
    /** One bit a piece, most significant bit first: it was hashed, and is right. */
    readonly verified: Buffer;
    /** The same: some of its bytes are nowhere, and it is to be downloaded. */
    readonly gaps: Buffer;
  };
}

export type AddResult =
  | {
      readonly outcome: 'added';
      /**
       * The names under which the client will look for the files, by file index, as components below `directory`. Absent
       * where the client names them as the torrent does.
       */
      readonly names?: readonly (readonly string[])[];
      /**
       * The names that it will look for once it was started anew, by file index; undefined for a file whose name stays.
       * Absent where all stay.
       */
      readonly laterNames?: readonly (readonly string[] | undefined)[];
    }
  | { readonly outcome: 'exists' }
  /** This torrent alone failed; nothing of it is left in the client. */
  | { readonly outcome: 'failed'; readonly error: AutotorrentError };

/** A torrent by both its info hashes. */
export interface TorrentHashes {
  readonly infoHash: string;
  /** 64 hex digits. */
  readonly infoHashV2: string;
}

/** The user and the group as which a program acts on files. */
export interface ProgramUser {
  readonly uid: number;
  readonly gid: number;
  /** The user's name; absent if this machine's list of accounts has none. */
  readonly name?: string;
}

export interface Learnt {
  readonly user: ProgramUser;
  /** It was not known before, or was another user's. */
  readonly isNew: boolean;
  /** Why it could not be remembered. */
  readonly forgotten?: string;
}

/** A client's program on this machine. */
export interface ClientProgram {
  /** The client, as people call it. */
  readonly client: string;
  /**
   * Finds out whom it runs as, after a call that it answered, and remembers it in the state. Undefined if that cannot be known: it
   * runs on another machine or in a container, or another program forwards to it. What was remembered is then forgotten, if it is
   * no longer so.
   */
  learn(): Learnt | undefined;
}

export interface TorrentClient {
  /** Undefined where a web server always stands between, and the client may run as anybody. */
  readonly program?: ClientProgram | undefined;
  /** Other texts with which the client's replies may begin a path below `path`. Absent where it spells all paths as they are. */
  spellings?(path: string): readonly string[];
  /**
   * Names the hybrid torrents that later calls ask about by their v1 info hash: the client may know them by the v2 one
   * alone. Absent where every client of the kind knows the v1 one.
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
  /** Lists the torrents of the client, or those of `infoHashes` that it has, in a constant number of calls. */
  list(infoHashes?: readonly string[]): Promise<TorrentState[]>;
  /**
   * Adds torrents stopped, with the configured label, and reads the names that the client will look for: one result each,
   * in the order of `requests`. A torrent that fails is removed again. Throws only where the client cannot be talked to at
   * all; what was begun is then removed, if the client can be reached once more.
   */
  add(requests: readonly AddRequest[]): Promise<AddResult[]>;
  /**
   * Starts stopped torrents. Like the next three: gives those of `infoHashes` that the client has, in few calls. `checked`:
   * the client has just checked them, so that a check of what is incomplete would find the same.
   */
  start(infoHashes: readonly string[], options?: { readonly checked?: boolean }): Promise<string[]>;
  /** Stops torrents. When it resolves they have stopped: a start after it is not lost. */
  stop(infoHashes: readonly string[]): Promise<string[]>;
  /** Makes the client hash the torrents' data again. */
  recheck(infoHashes: readonly string[]): Promise<string[]>;
  /**
   * Removes torrents from the client and leaves their data; `withData`: the client deletes that, too. rTorrent cannot
   * delete data: whoever owns it has to.
   */
  remove(infoHashes: readonly string[], options?: { readonly withData?: boolean }): Promise<string[]>;
  /** Ends connections that were kept open. */
  close(): Promise<void>;
}
