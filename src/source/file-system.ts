/**
 * The file systems on which sources lie: what their looks are worth, and by which names their disks are known over boots.
 *
 * A device number is another one at each boot, so a disk is known by the UUID of its file system or, where that has none, by
 * the type and the source of its mount. No network or FUSE file system is touched to find that out.
 */
import { constants, promises as fs, readdirSync, readFileSync, readlinkSync, type StatsFs, statfsSync } from 'node:fs';
import { basename } from 'node:path';
import type { CLibrary } from '../native/c-library.ts';
import { type FileSystemIdCalls, loadFileSystemId } from '../native/file-system-id.ts';
import { isAtOrBelow, type MountedAt, OUR_TYPE, parseMounts } from '../native/mountinfo.ts';
import { loadStatx, type StatxCalls } from '../native/statx.ts';
import type { DiskNamed } from './disk-turns.ts';
import { ReleasedFolders } from './released-folders.ts';
import { close, open, runLater, runNow, type Steps, step } from './steps.ts';

/** What is known of a file system by its type. */
export interface FileSystemKind {
  /** A look at an open file costs little, and shows every change at once. */
  readonly local: boolean;
  /** The ctime is the kernel's own time of a change: no program sets it back. */
  readonly trueCtime: boolean;
  /** Handles name files, over restarts, and no two files in turn. */
  readonly handles: boolean;
  /** A lease on a file tells of each writer before its first byte (fcntl(2), F_SETLEASE). */
  readonly leases: boolean;
  /** Shows the folders of several file systems as one, with the times of only one of them. */
  readonly union: boolean;
  /** Two files can share their bytes, until one of them changes (ioctl_ficlone(2)). */
  readonly shares?: true;
}

const WITH_HANDLES: FileSystemKind = { local: true, trueCtime: true, handles: true, leases: true, union: false };
const SHARING: FileSystemKind = { ...WITH_HANDLES, shares: true };
const LOCAL: FileSystemKind = { local: true, trueCtime: true, handles: false, leases: false, union: false };
/** Local, but shows the mtime, or nothing, in place of a ctime. */
const NO_CTIME: FileSystemKind = { local: true, trueCtime: false, handles: false, leases: false, union: false };
/** A look may be a round trip; the ctime is that of a local file system behind it. */
const REMOTE: FileSystemKind = { local: false, trueCtime: true, handles: false, leases: false, union: false };
/** Nothing is known, and nothing is relied on. */
const UNKNOWN: FileSystemKind = { local: false, trueCtime: false, handles: false, leases: false, union: false };

/**
 * By the type in the mount table. FUSE file systems are unknown but for mergerfs, which passes on the ctimes of its branches (seen
 * with 2.33): sshfs and rclone show the mtime as the ctime.
 */
const KINDS: ReadonlyMap<string, FileSystemKind> = new Map<string, FileSystemKind>([
  ...['ext2', 'ext3', 'ext4'].map((type) => [type, WITH_HANDLES] as const),
  ...['xfs', 'btrfs'].map((type) => [type, SHARING] as const),
  ...['tmpfs', 'ramfs', 'f2fs', 'zfs', 'bcachefs', 'jfs', 'reiserfs', 'nilfs2', 'overlay', 'ntfs3', 'ecryptfs'].map(
    (type) => [type, LOCAL] as const,
  ),
  ...['vfat', 'msdos', 'exfat', 'iso9660', 'udf', 'hfs', 'hfsplus', 'squashfs', 'erofs'].map(
    (type) => [type, NO_CTIME] as const,
  ),
  ...['nfs', 'nfs4', 'ceph'].map((type) => [type, REMOTE] as const),
  ['fuse.mergerfs', { ...REMOTE, union: true }],
  // `shfs` is that of Unraid's user shares.
  ...['fuse.shfs', 'fuse.mhddfs', 'fuse.unionfs', 'fuse.unionfs-fuse'].map(
    (type) => [type, { ...UNKNOWN, union: true }] as const,
  ),
]);

/** By the number of statfs(2), for devices that the mount table does not name: subvolumes of btrfs, datasets. */
const MAGIC: ReadonlyMap<number, FileSystemKind> = new Map([
  [0x9123683e, SHARING],
  [0x58465342, SHARING],
  [0xef53, WITH_HANDLES],
  [0x01021994, LOCAL],
  [0xf2f52010, LOCAL],
  [0x2fc12fc1, LOCAL],
  [0xca451a4e, LOCAL],
  [0x794c7630, LOCAL],
]);

/** File systems of the kernel's own, in which no source can lie. */
const PSEUDO: ReadonlySet<string> = new Set(
  'autofs binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs fuse.gvfsd-fuse fuse.portal fusectl hugetlbfs mqueue nsfs proc pstore rpc_pipefs securityfs selinuxfs sysfs tracefs'.split(
    ' ',
  ),
);

/** Milliseconds for which a reading of the mount table is believed. */
const FRESH_MS = 1000;
const MOUNT_TABLE = '/proc/self/mountinfo';
const BY_UUID = '/dev/disk/by-uuid';

export interface FileSystemsTools {
  readonly statx?: StatxCalls | undefined;
  readonly ids?: FileSystemIdCalls | undefined;
  /** Disks that are not touched, and count as not mounted. */
  readonly released?: ReleasedFolders;
  /** Default: the mount table of this process. */
  readonly table?: { readonly now: () => Buffer; readonly later: () => Promise<Buffer> };
}

/** A mount, and the name of its disk once it is known. */
interface Mounted extends MountedAt {
  disk?: string | undefined;
}

/** Loads what asks the kernel. */
export function openFileSystems(library: CLibrary, released?: ReleasedFolders): FileSystems {
  const tools = { statx: loadStatx(library), ids: loadFileSystemId(library) };
  return new FileSystems(released === undefined ? tools : { ...tools, released });
}

export class FileSystems {
  readonly #tools: FileSystemsTools;
  readonly #released: ReleasedFolders;
  #text: Buffer = Buffer.alloc(0);
  #readAt = Number.NEGATIVE_INFINITY;
  #mounts: readonly Mounted[] = [];
  #refreshing: Promise<void> | undefined;
  /** By device number, until the mount table changes. */
  readonly #kinds = new Map<number, FileSystemKind>();

  constructor(tools: FileSystemsTools = {}) {
    this.#tools = tools;
    this.#released = tools.released ?? new ReleasedFolders();
  }

  /** Tells of what kind the file system is on which a file lies. `dev`: that of the file now. */
  async kindOf(path: Buffer, dev: number): Promise<FileSystemKind> {
    return await runLater(this.kind(path, dev));
  }

  /** Does what `kindOf` does, in threads that have nothing else to do. */
  kindOfSync(path: Buffer, dev: number): FileSystemKind {
    return runNow(this.kind(path, dev));
  }

  /** `kindOf` as a procedure. */
  *kind(path: Buffer, dev: number): Steps<FileSystemKind> {
    yield* this.#refresh();
    const known = this.#kinds.get(dev);
    if (known !== undefined) return known;
    const mount = this.#mounts.findLast((mounted) => mounted.dev === dev);
    const kind = mount === undefined ? yield* kindByMagic(path) : (KINDS.get(mount.type) ?? UNKNOWN);
    this.#kinds.set(dev, kind);
    return kind;
  }

  /**
   * Names the disk on which a path lies, or would lie: `uuid:…`, or `mount:TYPE:SOURCE`. Undefined if no mount is known to
   * hold it.
   */
  async diskOf(path: Buffer): Promise<string | undefined> {
    return await runLater(this.#diskOf(path));
  }

  /** Does what `diskOf` does, in threads that have nothing else to do. */
  diskOfSync(path: Buffer): string | undefined {
    return runNow(this.#diskOf(path));
  }

  /** Finds the disk that holds a path, by the mount table alone: nothing is looked at. */
  async diskHolding(path: Buffer): Promise<DiskNamed> {
    const mount = await this.#mountNow(path);
    return { dev: mount?.dev ?? 0, local: mount !== undefined && KINDS.get(mount.type)?.local === true };
  }

  /**
   * Names the network or FUSE file system, by its mount point, on which a path without links lies, or would lie: whoever looks
   * there may wait for long. Undefined: a local one. Nothing is touched.
   */
  async slowMountOf(path: Buffer): Promise<Buffer | undefined> {
    const mount = await this.#mountNow(path);
    return mount === undefined || KINDS.get(mount.type)?.local === true ? undefined : mount.path;
  }

  /** Lists the mounts at and below a folder in which files may lie, by the mount table alone. Ours are left out. */
  async mountsBelow(folder: Buffer): Promise<Buffer[]> {
    await this.#mountNow(folder);
    return this.#mounts
      .filter(({ type, path }) => type !== OUR_TYPE && !PSEUDO.has(type) && isAtOrBelow(path, folder))
      .map(({ path }) => path);
  }

  /** Gives what tells if the mount of an open file is there. It says so, too, if the kernel does not name the mount of a file. */
  async mountedNow(): Promise<(fd: number) => boolean> {
    await this.#refreshLater();
    const mounted = new Set(this.#mounts.map(({ id }) => id));
    return (fd) => {
      const id = this.#tools.statx?.mountOfOpen(fd);
      return id === undefined || mounted.has(id);
    };
  }

  /** `#holding`, by a table that is fresh. */
  async #mountNow(path: Buffer): Promise<Mounted | undefined> {
    await this.#refreshLater();
    return this.#holding(path);
  }

  async #refreshLater(): Promise<void> {
    if (this.#isFresh()) return;
    this.#refreshing ??= runLater(this.#refresh()).finally(() => {
      this.#refreshing = undefined;
    });
    await this.#refreshing;
  }

  /** Lists the disks that are mounted, by each of their names, and where. */
  async disksMounted(): Promise<ReadonlyMap<string, readonly Buffer[]>> {
    return await runLater(this.#disksMounted());
  }

  *#diskOf(path: Buffer): Steps<string | undefined> {
    yield* this.#refresh();
    const { statx } = this.#tools;
    const id =
      statx === undefined
        ? undefined
        : yield* step(
            () => statx.mountOfSync(path),
            async () => await statx.mountOf(path),
          );
    const mount = this.#mounts.find((mounted) => mounted.id === id) ?? this.#holding(path);
    return mount === undefined ? undefined : yield* this.#diskOn(mount);
  }

  /** The mount that holds a path, by its name alone: the longest, and of those the last. */
  #holding(path: Buffer): Mounted | undefined {
    let found: Mounted | undefined;
    for (const mount of this.#mounts) {
      if (isAtOrBelow(path, mount.path) && mount.path.length >= (found?.path.length ?? 0)) found = mount;
    }
    return found;
  }

  *#disksMounted(): Steps<ReadonlyMap<string, readonly Buffer[]>> {
    yield* this.#refresh();
    const disks = new Map<string, Buffer[]>();
    for (const mount of this.#mounts) {
      if (PSEUDO.has(mount.type) || mount.type === OUR_TYPE || this.#released.holds(mount.path)) continue;
      // A record may be older than a kernel that tells the UUID.
      for (const disk of new Set([yield* this.#diskOn(mount), mountedAs(mount)])) {
        const places = disks.get(disk) ?? [];
        if (!places.some((place) => place.equals(mount.path))) places.push(mount.path);
        disks.set(disk, places);
      }
    }
    return disks;
  }

  *#diskOn(mount: Mounted): Steps<string> {
    mount.disk ??= (yield* this.#uuidOn(mount)) ?? mountedAs(mount);
    return mount.disk;
  }

  *#uuidOn(mount: Mounted): Steps<string | undefined> {
    const { ids, statx } = this.#tools;
    // Whoever opens a network or FUSE file system may wait for it.
    if (KINDS.get(mount.type)?.local !== true) return undefined;
    let uuid: string | undefined;
    const end = this.#released.begin(mount.path);
    try {
      const fd = yield* open(mount.path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
      try {
        // Another mount may lie over this one.
        const isThisOne = statx === undefined || statx.mountOfOpen(fd) === mount.id;
        if (isThisOne) uuid = ids?.uuidOf(fd);
      } finally {
        yield* close(fd);
      }
    } catch {
      // We may not open it.
    } finally {
      end();
    }
    uuid ??= mount.source.startsWith('/dev/') ? yield* uuidByLink(mount.source) : undefined;
    return uuid === undefined ? undefined : `uuid:${uuid}`;
  }

  #isFresh(): boolean {
    return performance.now() - this.#readAt < FRESH_MS;
  }

  *#refresh(): Steps<void> {
    if (this.#isFresh()) return;
    const { now = () => readFileSync(MOUNT_TABLE), later = async () => await fs.readFile(MOUNT_TABLE) } =
      this.#tools.table ?? {};
    const text = yield* step(now, later);
    this.#readAt = performance.now();
    if (text.equals(this.#text)) return;
    this.#text = text;
    // What is mounted still has the same disk.
    const known = new Map(this.#mounts.map((mount) => [keyOf(mount), mount.disk]));
    this.#mounts = parseMounts(text).map((mount) => ({ ...mount, disk: known.get(keyOf(mount)) }));
    // A device number may be another file system's by now.
    this.#kinds.clear();
  }
}

const keyOf = ({ id, dev, type, source, path }: Mounted): string =>
  `${id} ${dev} ${type} ${source} ${path.toString('latin1')}`;

/** The name of a disk whose file system tells no UUID. */
function mountedAs({ type, source }: MountedAt): string {
  return `mount:${type}:${source}`;
}

function* kindByMagic(path: Buffer): Steps<FileSystemKind> {
  try {
    const { type } = yield* step<StatsFs>(
      () => statfsSync(path),
      async () => await fs.statfs(path),
    );
    return MAGIC.get(type) ?? UNKNOWN;
  } catch {
    return UNKNOWN;
  }
}

/** Finds the UUID of a block device by udev's links. */
function* uuidByLink(device: string): Steps<string | undefined> {
  try {
    const name = basename(device);
    const links = yield* step(
      () => readdirSync(BY_UUID),
      async () => await fs.readdir(BY_UUID),
    );
    for (const uuid of links) {
      const link = `${BY_UUID}/${uuid}`;
      const target = yield* step(
        () => readlinkSync(link),
        async () => await fs.readlink(link),
      );
      if (basename(target) === name) return uuid;
    }
  } catch {
    // There is no udev.
  }
  return undefined;
}
