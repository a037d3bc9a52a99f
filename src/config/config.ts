/** `autotorrent.conf`, validated and frozen. All paths are absolute; `parse.ts` makes one. */

export const SCAN_MODES = ['exact', 'unsplitable', 'normal', 'hash_name', 'hash_size', 'hash_slow'] as const;
export type ScanMode = (typeof SCAN_MODES)[number];

/** `idle`: whenever clients read little. Else from one minute of the local day to another, over midnight if `to` comes first. */
export type ScrubTime = 'off' | 'idle' | { readonly from: number; readonly to: number };

interface Remembered {
  /** The file, in the state, of what clients are known by. */
  readonly knownDaemons?: string;
}

export type ClientConfig =
  | (Remembered & { readonly client: 'rtorrent'; readonly url: string; readonly label?: string })
  | (Remembered & {
      readonly client: 'transmission';
      readonly url: string;
      readonly username?: string;
      readonly password?: string;
      readonly label?: string;
    })
  | (Remembered & {
      readonly client: 'deluge';
      /** The daemon's `host:port`. Exactly one of `host` and `url` is set. */
      readonly host: string;
      readonly url?: undefined;
      readonly username?: string;
      readonly password?: string;
      readonly label?: string;
    })
  | (Remembered & {
      readonly client: 'deluge';
      readonly host?: undefined;
      /** The web interface. */
      readonly url: string;
      readonly password?: string;
      readonly label?: string;
    })
  | (Remembered & {
      readonly client: 'qbittorrent';
      readonly url: string;
      readonly username?: string;
      readonly password?: string;
      readonly category?: string;
      /** Separated by commas. */
      readonly tags?: string;
    })
  | { readonly client: 'none' };

/** How sources are pinned before anything happens to them. */
export type Protection = 'off' | 'reflink' | 'hardlink';

export interface Config {
  /** The file it was read from. */
  readonly file: string;
  /** The collection index: a LevelDB folder. */
  readonly db: string;
  readonly storePath: string;
  readonly statePath: string;
  readonly ignoreFiles: readonly string[];
  /** Seconds: a file that was written to since is no candidate yet. */
  readonly settle: number;
  /** In bytes. */
  readonly addLimitSize: number;
  readonly addLimitPercent: number;
  readonly scanModes: readonly ScanMode[];
  readonly exactTarget: 'mount' | 'original';
  /** `auto`: decided for each torrent, by how its client treats it. */
  readonly verify: 'auto' | 'none' | 'probe' | 'full';
  /** The number of readers in the hash pool. */
  readonly hashReaders: number;
  /** Percent by which a size may differ in `hash_name` and `hash_slow`. */
  readonly hashSizeVarying: number;
  /** Limits of the hash modes for one file: candidates, and bytes hashed without a match. */
  readonly hashLimit: { readonly candidates: number; readonly bytes: number };
  readonly driver: 'auto' | 'kernel' | 'fuse-native';
  /** Undefined: decided at mount time. */
  readonly allowOther: boolean | undefined;
  /** The owner that the mount shows; undefined: the server's user. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
  readonly umask: number;
  /** A file that is mapped shows the hard links of its source beside its own. */
  readonly showLinks: boolean;
  readonly fastResume: 'never' | 'verified' | 'trust';
  /** Paths that the client sees under other names: absolute, each `own` only once. */
  readonly pathMap: readonly { readonly own: string; readonly client: string }[];
  readonly disks: readonly string[];
  /** The disks by their keys in `[disks]`, in lower case. */
  readonly diskNames: ReadonlyMap<string, string>;
  /** Undefined if the file has no section for it; commands that need a client report that. */
  readonly client: ClientConfig | undefined;
  /** Sections that name a client: the NAME of each `[client-NAME]`, empty for `[client]`. */
  readonly clientSections: readonly string[];
  /** Which reads of the mount are hashed: of sources that are not as recorded; first reads of all; none. */
  readonly verifyReads: 'suspect' | 'first' | 'off';
  /** Which files the kernel may read itself, where it can. `safe`: only files of our own. */
  readonly passthrough: 'auto' | 'safe' | 'off';
  /** The most sources that stay open when nobody has them open any more. */
  readonly holdSources: number;
  /** When pieces are hashed in the background. */
  readonly scrub: ScrubTime;
  /** Days after which a verified piece is hashed again. */
  readonly scrubDays: number;
  /** True: `mount` repairs what the loss of the mount did to the client's torrents. */
  readonly recover: boolean;
  /** What happens to bytes that lie nowhere any more: `tell`: the user is told. */
  readonly onLoss: 'repair' | 'tell';
  /** The most bytes that repairs have clients download in 24 hours. */
  readonly repairLimit: number;
  /** The most bytes that are copied of one source that would be lost. */
  readonly rescueLimit: number;
  /** Nothing more is kept of such sources on a disk where so many bytes are kept. */
  readonly rescueTotal: number;
  /** How sources are pinned that lie on no disk of `protectOf`. */
  readonly protect: Protection;
  /** The same, by the disk's folder, of disks with a setting of their own. */
  readonly protectOf: ReadonlyMap<string, Protection>;
  /** Days after which a pin goes whose original is gone; Infinity: none does. */
  readonly protectDays: number;
  /** Sentences for the user: about a key with a new meaning, or an unknown key and the nearest known one. */
  readonly notices: readonly string[];
}
