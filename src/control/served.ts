/** The domain types of a server and its entries. `codec.ts` translates them to the shapes of `messages.ts` for the socket. */

export interface ServedEntry {
  readonly name: string;
  /** 40 hex digits. */
  readonly infoHash: string;
  /** 64 hex digits, of hybrid and v2 torrents: some clients know them by its first 40. */
  readonly infoHashV2?: string;
  readonly state: 'adding' | 'added';
  /** `external`: seeded from the original folder, listed only. */
  readonly kind: 'mount' | 'external';
  /** The folder a client is given: it looks for `torrentName` in it. */
  readonly directory: string;
  readonly torrentName: string;
  readonly created: Date;
  /** Bytes. */
  readonly size: number;
  readonly mappedBytes: number;
  /** Nobody supplied them when they were planned; a client wrote them, and they were verified since. */
  readonly downloadedBytes: number;
  readonly missingBytes: number;
  readonly files: number;
  readonly pieces: number;
  readonly verifiedPieces: number;
  readonly verify: 'none' | 'probe' | 'full';
  readonly health: 'ok' | 'broken';
}

export interface ServedExtent {
  readonly offset: number;
  readonly length: number;
  readonly sourceOffset: number;
  /** `overlay`: written by a client, kept in the state folder. `zeros`: a pad file. `gap`: nobody has it. */
  readonly kind: 'source' | 'zeros' | 'gap' | 'overlay';
  /** An absolute path, of kinds `source` and `overlay`. */
  readonly source?: Buffer;
}

export interface ServedFile {
  /** Below the entry's directory, `/` between components. */
  readonly path: string;
  readonly length: number;
  readonly status: 'mapped' | 'resized' | 'partial' | 'missing' | 'pad';
  /** What clients made of it: `replaced` by a file of theirs. */
  readonly state: 'present' | 'moved' | 'deleted' | 'replaced';
  /** The scan mode that supplied it. */
  readonly mode: string;
  readonly extents: readonly ServedExtent[];
  /** Bytes of it that clients wrote, in so many ranges. */
  readonly writtenBytes: number;
  readonly writtenRanges: number;
}

export interface ServerStatus {
  readonly version: string;
  readonly pid: number;
  readonly driver: string;
  readonly mountPoint: string;
  /** Who can see the mount. */
  readonly visibleTo: 'everyone' | 'owner';
  /** Mounted so that no client can write. */
  readonly readOnly: boolean;
  readonly uptimeSeconds: number;
  readonly entries: number;
  /** Entries that no client confirmed yet. */
  readonly adding: number;
  readonly opens: number;
  readonly openHandles: number;
  readonly reads: number;
  readonly bytesRead: number;
  readonly readErrors: number;
  /** Sources that are not what they were when they were matched; `servedFrom`: the copy that is served instead. */
  readonly brokenSources: readonly { readonly path: string; readonly reason: string; readonly servedFrom?: string }[];
  readonly brokenEntries: readonly string[];
  readonly writes: number;
  readonly bytesWritten: number;
  /** What the overlay's folder takes on its disk; undefined while it is counted for the first time. */
  readonly overlayBytes: number | undefined;
  /** Overlay files that do not fit the store. */
  readonly overlayProblems: readonly { readonly path: string; readonly problem: string }[];
}

/** The result of a verification. */
export interface Verified {
  /** What `beginVerification` gave. */
  readonly since: number;
  /** Bitfields of the pieces that agreed, and of those that did not. */
  readonly good: Buffer;
  readonly bad: Buffer;
}

/** `pooled`: its place in the pool. `kept`: why it stays where it is. Neither: it is not whole any more. */
export interface Pooled {
  readonly pooled?: string;
  readonly kept?: string;
}

export type Change = 'written' | 'resized' | 'touched' | 'moved' | 'deleted' | 'replaced' | 'made';

/** `[offset, end)`, in blocks of 4 KiB. */
export type Ranges = readonly (readonly [offset: number, end: number])[];

/** A file, folder or name that is not as it was planned. */
export interface ServedDifference {
  /** Below the entry's directory, as the torrent has it; of what a client made, where it is. */
  readonly path: string;
  readonly type: 'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'block' | 'character';
  /**
   * `written`: `ranges` are the client's. `resized`: it has another size than planned, or bytes were cut off.
   * `touched`: its time was set. `moved`: it has other names, `named`. `deleted`: it has none. `replaced`: a file that a
   * client made has its name. `made`: a client made it.
   */
  readonly changes: readonly Change[];
  readonly size: number;
  /** Undefined: nothing was planned here. */
  readonly plannedSize: number | undefined;
  /** From here to the planned end, what is not written reads as zeros. */
  readonly baseSize: number;
  /** All bytes of a file that a client made, or that has a replaced file's name. */
  readonly writtenBytes: number;
  /** What is written over the file. */
  readonly ranges: Ranges;
  readonly named: readonly string[];
}

/** A difference, or further ranges of the one before it: a file may have millions. */
export type DifferencePart = ServedDifference | { readonly moreRanges: Ranges };

export interface Discarded {
  /** How many differences are no more. */
  readonly discarded: number;
  /** What they had written. */
  readonly bytes: number;
  /** Files that could not have their names back. */
  readonly kept: readonly { readonly path: string; readonly reason: string }[];
}
