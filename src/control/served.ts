/** The domain types of a server and its entries. `codec.ts` translates them to the shapes of `messages.ts` for the socket. */
import type { MountOwner } from '../config/mount-owner.ts';
import type { FileIdentity } from '../source/identity.ts';

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
  /** In bytes. */
  readonly size: number;
  /** Bytes that are served from sources. */
  readonly mappedBytes: number;
  /** Bytes without a source when planned, or deleted or overwritten since, which a client wrote and which were verified since. */
  readonly downloadedBytes: number;
  readonly missingBytes: number;
  readonly files: number;
  /** Those that were deleted in the mount; what they map counts as missing. */
  readonly deletedFiles: number;
  /** Those of which clients cut bytes off, or wrote others over them that nobody has verified; these bytes count as missing. */
  readonly overwrittenFiles: number;
  readonly pieces: number;
  readonly verifiedPieces: number;
  readonly verify: 'none' | 'probe' | 'full';
  readonly health: Health;
  /** Facts about a health that is not `ok`. */
  readonly healthDetail?: HealthDetail;
}

/**
 * The worst state of an entry's sources (`docs/sources.md`), `checking` for doubted ones. `broken`: reads fail, and nothing is
 * done about it. `deleted`: files were deleted in the mount. `overwritten`: clients cut them off, or wrote other bytes over them.
 */
export type Health = 'ok' | 'checking' | 'deleted' | 'overwritten' | 'healing' | 'waiting' | 'lost' | 'broken';

export interface HealthDetail {
  /** Of `healing`: so many sources of so many. */
  readonly sources?: number;
  readonly ofSources?: number;
  /** The disks that are waited for. */
  readonly disks?: readonly string[];
  readonly lostBytes?: number;
  /** True: the client downloads what is lost. */
  readonly downloading?: boolean;
  /** Why reads fail. */
  readonly reason?: string;
  readonly deletedFiles?: number;
  readonly overwrittenFiles?: number;
}

/** A source of an entry, and what happened to it. */
export interface ServedSource {
  /** Absolute. */
  readonly path: Buffer;
  readonly state: 'trusted' | 'doubted' | 'healing' | 'waiting' | 'lost';
  /** Of a state other than `trusted`: since when, and why (a predicate, to follow the path). */
  readonly since?: Date;
  readonly reason?: string;
  /** Its last changes, the oldest first. */
  readonly story: readonly {
    readonly at: Date;
    readonly from: Buffer;
    readonly to: Buffer;
    /** How that was found out, and proven. */
    readonly how: string;
  }[];
}

/** Sources that are not trusted. */
export interface SourceTotals {
  readonly doubted: number;
  readonly healing: number;
  readonly lost: number;
  readonly waiting: readonly { readonly disk: string; readonly sources: number }[];
}

export interface ServedExtent {
  readonly offset: number;
  readonly length: number;
  readonly sourceOffset: number;
  /** `overlay`: written by a client, kept in the state folder. `zeros`: a pad file. `gap`: missing. */
  readonly kind: 'source' | 'zeros' | 'gap' | 'overlay';
  /** An absolute path, for kinds `source` and `overlay`. */
  readonly source?: Buffer;
  /** The source was kept of another one, which changed. */
  readonly kept?: true;
  /** The source has a pin, or is one. */
  readonly pinned?: true;
  /** The state of a source that is not trusted. */
  readonly sourceState?: Exclude<ServedSource['state'], 'trusted'>;
}

export interface ServedFile {
  /** Below the entry's directory, `/` between components. */
  readonly path: string;
  readonly length: number;
  readonly status: 'mapped' | 'resized' | 'partial' | 'missing' | 'pad';
  /** `replaced`: a client's file has its name. */
  readonly state: 'present' | 'moved' | 'deleted' | 'replaced';
  /** The scan mode that supplied the file. */
  readonly mode: string;
  /** The reason for the status (`FileCode` of `plan/file-code.ts`); absent in an entry of an older version. */
  readonly code?: string;
  readonly extents: readonly ServedExtent[];
  /** Bytes that clients wrote, in this many ranges. */
  readonly writtenBytes: number;
  readonly writtenRanges: number;
}

/** The scrub in the background. */
export interface ScrubStatus {
  /** As in the configuration: `off`, `idle`, or from one time of day to another. */
  readonly when: string;
  /** `idle`: nothing is due, or it is not the time. `paused`: clients read a lot. */
  readonly state: 'off' | 'idle' | 'running' | 'paused';
  readonly progress?: { readonly name: string; readonly doneBytes: number; readonly totalBytes: number };
  /** Since the server started. */
  readonly provenPieces: number;
  readonly badPieces: number;
  /** Disks with pieces to hash that sleep. */
  readonly asleep: readonly string[];
}

/** How the server is told of what other programs do to sources. */
export interface WatchStatus {
  readonly fileSystems: readonly {
    readonly mountPoint: string;
    /** One mark for all of it, or one for each folder. `none`: nothing of it is watched. */
    readonly kind: 'fanotify-filesystem' | 'fanotify-folders' | 'inotify' | 'none';
    readonly marks: number;
    /** Folders with sources that are not watched, and why (a predicate). */
    readonly unwatched: number;
    readonly why?: string;
    /** How often the kernel has lost events. */
    readonly overflows: number;
  }[];
  /** Folders that are not watched, since their disks sleep. */
  readonly asleep: readonly { readonly disk: string; readonly folders: number }[];
}

/** The cases of sources that are not as recorded. */
export interface HealerStatus {
  /** Cases that may be settled soon; those that wait for a disk are not among them. */
  readonly open: number;
  /** Those of them for which a reader waits. */
  readonly urgent: number;
  /** Since the server started. */
  readonly settled: number;
  /** When the oldest open case began. */
  readonly oldest?: Date;
}

/** Repairs of what is lost for good. */
export interface RepairStatus {
  readonly onLoss: 'repair' | 'tell';
  /** Entries whose repair has begun, or is being decided. */
  readonly queued: number;
  /** What repairs had clients download in the last 24 hours, and how much that may be. */
  readonly spentBytes: number;
  readonly limitBytes: number;
}

/** Leases on sources, by which the kernel tells of writers (`docs/sources.md`). */
export interface LeaseStatus {
  readonly held: number;
  /** Those for which a writer waits: five seconds at most. */
  readonly awaited: number;
}

/** Files that the kernel reads itself (`docs/sources.md`, "Files that the kernel reads itself"). */
export interface PassthroughStatus {
  readonly files: number;
  /** Those that it reads from a file that has other bytes by now, until their clients close them. */
  readonly changed: number;
}

/** What is kept in one folder of what would be lost, or the pins in it (`docs/sources.md`). */
export interface KeptStatus {
  /** Of a disk, or the pool: `.autotorrent` lies in it. */
  readonly folder: string;
  readonly files: number;
  /** The room that they take, unless it is shared. */
  readonly bytes: number;
}

/** The sources that the server has open. */
export interface DescriptorStatus {
  readonly sources: number;
  /** Those that are open without a reader. */
  readonly held: number;
  /** Bytes of files that only their open descriptors lead to, and of which no copy is known. */
  readonly hangingBytes: number;
}

export interface ServerStatus {
  readonly version: string;
  readonly pid: number;
  readonly driver: string;
  /** What the driver makes use of, in a few words; undefined: nothing, or the server is of an older version. */
  readonly driverDetail: string | undefined;
  /** Why it is this driver; undefined: the server is of an older version. */
  readonly driverReason: string | undefined;
  readonly mountPoint: string;
  /** Who can see the mount. */
  readonly visibleTo: 'everyone' | 'owner';
  /** Whose the files in the mount are; undefined: the server is of an older version. */
  readonly owner: MountOwner | undefined;
  /** True: clients cannot write. */
  readonly readOnly: boolean;
  readonly uptimeSeconds: number;
  readonly entries: number;
  /** Entries that no client has confirmed yet. */
  readonly adding: number;
  /** Files that were deleted in the mount, and the entries that they belong to. */
  readonly deleted: { readonly entries: number; readonly files: number };
  /** The same of those that clients cut off or wrote over. */
  readonly overwritten: { readonly entries: number; readonly files: number };
  readonly opens: number;
  readonly openHandles: number;
  readonly reads: number;
  readonly bytesRead: number;
  readonly readErrors: number;
  /** Sources that have changed since they were matched; `servedFrom`: the copy that is served instead. */
  readonly brokenSources: readonly { readonly path: string; readonly reason: string; readonly servedFrom?: string }[];
  readonly brokenEntries: readonly string[];
  readonly sources: SourceTotals;
  readonly scrub: ScrubStatus;
  readonly watch: WatchStatus;
  readonly healer: HealerStatus;
  readonly repair: RepairStatus;
  readonly leases: LeaseStatus;
  readonly passthrough: PassthroughStatus;
  /** Folders in which something is kept. */
  readonly kept: readonly KeptStatus[];
  /** Folders in which sources have pins. */
  readonly pins: readonly KeptStatus[];
  readonly descriptors: DescriptorStatus;
  readonly writes: number;
  readonly bytesWritten: number;
  /** The space that the overlay's folder takes on its disk; undefined until it was measured once. */
  readonly overlayBytes: number | undefined;
  /** Overlay files that do not match the store. */
  readonly overlayProblems: readonly { readonly path: string; readonly problem: string }[];
}

/** Which pieces `scrub` asks for. */
export interface DueQuestion {
  /** Verified pieces are due again after so many days. */
  readonly days: number;
  /** Every piece is due. */
  readonly all: boolean;
  /** Pieces that did not agree are due at once, not only after a while. */
  readonly again: boolean;
}

/** Why a piece is due, in the order of urgency. */
export const NOT_DUE = 0;
/** Its source changed, and nobody has hashed it since. */
export const DUE_DOUBTED = 1;
/** It is not verified. */
export const DUE_UNPROVEN = 2;
/** It was verified long ago. */
export const DUE_OLD = 3;

/** An entry with pieces that are due: their numbers, by the reason. */
export interface DueEntry {
  /** 40 hex digits. */
  readonly infoHash: string;
  readonly pieceLength: number;
  readonly doubted: number;
  readonly unproven: number;
  readonly old: number;
}

/** A file that supplied bytes of pieces that do not agree, or that cannot be read. */
export interface DamagedSource {
  readonly path: Buffer;
  /** A predicate: "does not hold the bytes of 3 pieces". */
  readonly reason: string;
  /** Pieces that were hashed and did not agree, and the file of which they were; absent: it could not be read. */
  readonly hashed?: { readonly pieces: readonly number[]; readonly file: FileIdentity };
}

/** What an entry has lost for good, and what stands in the way of a repair (docs/sources.md, "What is lost"). */
export interface Losses {
  /** Bytes of lost sources, which reads do not get. */
  readonly lostBytes: number;
  /** Bytes of the pieces that they touch: a client downloads whole pieces. */
  readonly downloadBytes: number;
  /** The number of other sources that cannot be read, whose case is not settled. */
  readonly unsettled: number;
  /** Ranges of doubted sources that are not proven, in the torrent's order; not all if there are very many. */
  readonly doubted: readonly DoubtedRange[];
}

export interface DoubtedRange {
  /** Below the entry's directory. */
  readonly path: string;
  readonly offset: number;
  readonly length: number;
}

/** A disk that the server has let go of. */
export interface Released {
  readonly mountPoints: readonly Buffer[];
  /** Sources that wait until it is mounted again. */
  readonly sources: number;
  /** Files on it that the server could not close in time. */
  readonly open: number;
}

/** What becomes of a repair. */
export interface RepairNews {
  /**
   * `repaired`: the bytes are gaps, which clients know of. `nothing`: nothing is lost. `gone`: the entry is. `told`: only the
   * user may have it repaired. `limited`: by itself when less was spent in a day. `later`: something is in the way.
   * `checking`: clients check, and more follows.
   */
  readonly outcome: 'repaired' | 'nothing' | 'gone' | 'told' | 'limited' | 'later' | 'checking';
  /** The lost bytes. */
  readonly bytes?: number;
  readonly message?: string;
}

/** The result of a verification. */
export interface Verified {
  /** The result of `beginVerification`. */
  readonly since: number;
  /** The result of `beginProof`: what matched is then proven, too (`docs/sources.md`). */
  readonly epoch?: number;
  /** Bitfields of the pieces that matched, and of those that did not. */
  readonly good: Buffer;
  readonly bad: Buffer;
}

/** What became of an entry's sources when they were pinned. */
export interface EntryPinned {
  /** Sources that have a pin now, and their bytes; `made`: the pins of this call. */
  readonly sources: number;
  readonly bytes: number;
  readonly made: number;
  /** Sources on disks for which `protect` is off. */
  readonly off: number;
  /** Those that have no pin. `reason`: a predicate. */
  readonly unpinned: readonly { readonly path: string; readonly reason: string }[];
}

export interface ProtectedEntry extends EntryPinned {
  readonly name: string;
  readonly infoHash: string;
}

/**
 * `pooled`: the path in the pool. `kept`: the reason why it stays where it is. Neither: the file is no longer whole.
 */
export interface Pooled {
  readonly pooled?: string;
  readonly kept?: string;
}

export type Change = 'written' | 'resized' | 'touched' | 'moved' | 'deleted' | 'replaced' | 'made';

/** `[offset, end)`, in blocks of 4 KiB. */
export type Ranges = readonly (readonly [offset: number, end: number])[];

/** A file, folder or name that differs from the plan. */
export interface ServedDifference {
  /** Below the entry's directory, as in the torrent; for a file that a client made, its present path. */
  readonly path: string;
  readonly type: 'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'block' | 'character';
  /**
   * `written`: a client wrote `ranges`. `resized`: the size differs from the plan, or bytes were cut off. `touched`:
   * its time was set. `moved`: it has other names, `named`. `deleted`: it has none. `replaced`: a client's file has its
   * name. `made`: a client made it.
   */
  readonly changes: readonly Change[];
  readonly size: number;
  /** Undefined: nothing was planned here. */
  readonly plannedSize: number | undefined;
  /** From this offset to the planned end, unwritten bytes read as zeros. */
  readonly baseSize: number;
  /** For a file that a client made, or that has a replaced file's name: its whole size. */
  readonly writtenBytes: number;
  /** The ranges written over the file. */
  readonly ranges: Ranges;
  readonly named: readonly string[];
}

/** A difference, or further ranges of the one before it: a file may have millions. */
export type DifferencePart = ServedDifference | { readonly moreRanges: Ranges };

export interface Discarded {
  /** The number of differences that are gone. */
  readonly discarded: number;
  /** The bytes that they had written. */
  readonly bytes: number;
  /** Files that could not get their names back. */
  readonly kept: readonly { readonly path: string; readonly reason: string }[];
}
