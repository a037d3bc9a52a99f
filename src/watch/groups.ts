/** The groups of the watch, one for each file system that sources lie on, and the mount table that tells them apart. */
import { realpathSync } from 'node:fs';
import {
  FAN_ATTRIB,
  FAN_CLOSE_WRITE,
  FAN_CREATE,
  FAN_DELETE,
  FAN_MODIFY,
  FAN_ONDIR,
  FAN_RENAME,
  type FanotifyCalls,
} from '../native/fanotify.ts';
import type { FolderHandleCalls } from '../native/folder-handles.ts';
import type { InotifyCalls } from '../native/inotify.ts';
import { isAtOrBelow, type MountedAt, OUR_TYPE, readMountsSync } from '../native/mountinfo.ts';
import type { Group } from './group.ts';

/** Events of a whole file system, and of folders with sources. */
export const FILES = FAN_MODIFY | FAN_ATTRIB | FAN_CLOSE_WRITE | FAN_CREATE | FAN_DELETE | FAN_RENAME | FAN_ONDIR;
/** Of folders above those: what happens to folders in them. */
export const ABOVE = FAN_CREATE | FAN_DELETE | FAN_RENAME | FAN_ONDIR;

const EACCES = 13;

export interface GroupsOptions {
  readonly fanotify: FanotifyCalls | undefined;
  readonly inotify: InotifyCalls | undefined;
  readonly handles: FolderHandleCalls | undefined;
  readonly close: (fd: number) => void;
  readonly wholeFileSystems: boolean;
  /** Watches the file system at a mount point, and gives the number by which its end is reported; negative if it is not. */
  readonly unmounting: (mountPoint: Buffer) => number;
  /** The numbers of watches are larger. */
  readonly watchesAfter: number;
}

export class Groups {
  readonly #options: GroupsOptions;
  /** By `MountedAt.dev`. */
  readonly #groups = new Map<number, Group>();
  #inotify: Group | undefined;
  #mounts: readonly MountedAt[] = readMountsSync();
  #watches: number;

  constructor(options: GroupsOptions) {
    this.#options = options;
    this.#watches = options.watchesAfter;
  }

  get all(): readonly Group[] {
    return [...this.#groups.values(), ...(this.#inotify === undefined ? [] : [this.#inotify])];
  }

  /** A number that no watch has had. */
  nextWatch(): number {
    return ++this.#watches;
  }

  /**
   * Reads the mount table again, and takes out the groups of file systems that are gone. `unmounted`: the numbers of those that were
   * unmounted meanwhile, as `unmounting` gave them. They may be mounted again, with the same id and device.
   */
  readMounts(unmounted: ReadonlySet<number>): {
    readonly fresh: MountedAt[];
    readonly gone: MountedAt[];
    readonly ended: Group[];
  } {
    const before = new Map(this.#mounts.map((mount) => [nameOf(mount), mount]));
    this.#mounts = readMountsSync();
    const now = new Map(this.#mounts.map((mount) => [nameOf(mount), mount]));
    const fresh = [...now].flatMap(([name, mount]) => (before.has(name) ? [] : [mount]));
    const gone = [...before].flatMap(([name, mount]) => (now.has(name) ? [] : [mount]));
    const ended: Group[] = [];
    for (const [device, group] of this.#groups) {
      const mount = this.#mounts.find(({ dev }) => dev === device);
      const isOther = unmounted.has(group.unmount);
      if (mount === undefined || isOther) {
        this.#groups.delete(device);
        ended.push(group);
        const again = isOther ? this.#mounts.filter(({ dev }) => dev === device) : [];
        for (const one of again) {
          if (fresh.includes(one)) continue;
          fresh.push(one);
          gone.push(one);
        }
      } else if (gone.some(({ path }) => path.equals(group.mountPoint))) group.mountPoint = mount.path;
    }
    return { fresh, gone, ended };
  }

  /** The group of a mount's file system; undefined if it cannot be watched, or is a mount of autotorrent. */
  of(mount: MountedAt | undefined): Group | undefined {
    if (mount === undefined || mount.type === OUR_TYPE) return undefined;
    const known = this.#groups.get(mount.dev);
    if (known !== undefined) return known;
    const made = this.#fanotifyGroup(mount);
    if (made === undefined) return this.#inotifyGroup();
    this.#groups.set(mount.dev, made);
    return made;
  }

  /** Takes out the group of the file system at a mount point, if it has one of its own. */
  takeOut(mountPoint: Buffer): Group | undefined {
    const device = this.mountOf(mountPoint)?.dev ?? Number.NaN;
    const group = this.#groups.get(device);
    this.#groups.delete(device);
    return group;
  }

  /** Undefined where fanotify does not work: an old kernel, or a file system without handles. */
  #fanotifyGroup(mount: MountedAt): Group | undefined {
    const { fanotify, handles, wholeFileSystems, close } = this.#options;
    if (fanotify === undefined || handles === undefined) return undefined;
    const { path } = mount;
    let fd = wholeFileSystems ? fanotify.group(true) : -1;
    const privileged = fd >= 0;
    if (!privileged) fd = fanotify.group(false);
    if (fd < 0) return undefined;
    if (privileged && fanotify.markFileSystem(fd, path, FILES >>> 0) >= 0) {
      return this.#newGroup(fd, 'filesystem', mount);
    }
    // A trial: some file systems refuse marks of folders, too. A folder that may not be read says nothing.
    const trial = fanotify.markFolder(fd, path, ABOVE >>> 0);
    if ((trial >= 0 && handles.handleAt(path) !== undefined) || trial === -EACCES) {
      if (trial >= 0) fanotify.unmarkFolder(fd, path, ABOVE >>> 0);
      return this.#newGroup(fd, 'folders', mount);
    }
    close(fd);
    return undefined;
  }

  #inotifyGroup(): Group | undefined {
    if (this.#inotify !== undefined) return this.#inotify;
    const fd = this.#options.inotify?.open() ?? -1;
    if (fd < 0) return undefined;
    this.#inotify = this.#newGroup(fd, 'inotify', undefined);
    return this.#inotify;
  }

  /** `mount`: undefined for inotify, which serves all file systems. */
  #newGroup(fd: number, kind: Group['kind'], mount: MountedAt | undefined): Group {
    return {
      fd,
      kind,
      device: mount?.dev,
      mountPoint: mount?.path ?? Buffer.from('/'),
      watch: this.nextWatch(),
      unmount: mount === undefined ? -1 : this.#options.unmounting(mount.path),
      overflows: 0,
      folders: new Map(),
      unwanted: new Set(),
      followed: new Map(),
      aliases: new Map(),
    };
  }

  /** The file system that holds a path, `MountedAt.dev`; links are followed. */
  deviceOf(path: Buffer): number | undefined {
    try {
      return this.mountOf(realpathSync.native(path, { encoding: 'buffer' }))?.dev;
    } catch {
      return undefined;
    }
  }

  /** The mount that holds a path without links: of those above it the longest, and of equal ones the last. */
  mountOf(path: Buffer): MountedAt | undefined {
    let best: MountedAt | undefined;
    for (const mount of this.#mounts) {
      if (isAtOrBelow(path, mount.path) && mount.path.length >= (best?.path.length ?? 0)) best = mount;
    }
    return best;
  }
}

const nameOf = ({ dev, path }: MountedAt): string => `${dev} ${path.toString('latin1')}`;
