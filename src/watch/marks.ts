/**
 * Which file systems and folders are marked.
 *
 * A file system that the kernel lets us mark whole has one mark. Of the others each folder with sources is marked, and those
 * above it within the file system, so that it is seen when one of them is renamed. When no mark is left, the folder that
 * was used the longest ago gives its own up. Each file system has a group of its own: without a usable `fsid` (FUSE) the
 * kernel allows no second file system in a group, and handles mean something only within theirs.
 */
import { realpathSync } from 'node:fs';
import { FAN_EVENT_ON_CHILD, FAN_MOVE_SELF } from '../native/fanotify.ts';
import * as inotify from '../native/inotify.ts';
import { isLeftOut } from '../source/own-folder.ts';
import { type Folder, FolderTree, split } from './folder-tree.ts';
import { bind, type Group, unbind } from './group.ts';
import { ABOVE, FILES, Groups, type GroupsOptions } from './groups.ts';
import type { WatchedFileSystem, WatchFacts, WatchKind } from './protocol.ts';

const FILES_INOTIFY =
  inotify.IN_MODIFY |
  inotify.IN_ATTRIB |
  inotify.IN_CLOSE_WRITE |
  inotify.IN_CREATE |
  inotify.IN_DELETE |
  inotify.IN_MOVED_FROM |
  inotify.IN_MOVED_TO;
const ABOVE_INOTIFY = inotify.IN_CREATE | inotify.IN_DELETE | inotify.IN_MOVED_FROM | inotify.IN_MOVED_TO;

const ENOSPC = 28;
const KINDS: Readonly<Record<Group['kind'], WatchKind>> = {
  filesystem: 'fanotify-filesystem',
  folders: 'fanotify-folders',
  inotify: 'inotify',
};

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export interface MarksOptions extends GroupsOptions {
  readonly inotify: inotify.InotifyCalls | undefined;
  readonly mostMarks: number;
  /** Called with watches that hold no longer. */
  readonly ended: (watches: readonly number[]) => void;
}

export class Marks {
  readonly tree = new FolderTree();
  readonly #options: MarksOptions;
  readonly #groups: Groups;
  #marked = 0;
  /** Marked folders with sources, the one that was used the longest ago first. */
  readonly #used = new Set<Folder>();
  /** What to raise, or why not everything is watched. */
  limit: string | undefined;

  constructor(options: MarksOptions) {
    this.#options = options;
    this.#groups = new Groups(options);
  }

  get groups(): readonly Group[] {
    return this.#groups.all;
  }

  get facts(): WatchFacts {
    const kinds = new Set(
      this.groups.filter(({ folders, kind }) => kind === 'filesystem' || folders.size > 0).map(({ kind }) => kind),
    );
    const kind: WatchKind = kinds.has('filesystem')
      ? 'fanotify-filesystem'
      : kinds.has('folders')
        ? 'fanotify-folders'
        : kinds.has('inotify')
          ? 'inotify'
          : 'none';
    const whole = this.groups.filter((group) => group.kind === 'filesystem').length;
    return { kind, marks: whole + this.#marked, limited: this.limit !== undefined };
  }

  /**
   * Notes folders with sources without touching them, and gives those that need marks of their own. A file system that can
   * be marked whole is.
   */
  know(paths: readonly string[]): string[] {
    return paths.filter((path) => {
      const group = this.#groups.of(this.#groups.mountOf(Buffer.from(path, 'latin1')));
      if (group?.kind !== 'filesystem') return group !== undefined;
      this.tree.make(path).wanted = true;
      // It may have been resolved while nobody wanted it.
      group.unwanted.clear();
      return false;
    });
  }

  /**
   * Watches a folder that has sources. `inUse`: other folders give way to it. Gives the folder, or undefined if it is not
   * there, or cannot be watched.
   */
  add(path: string, inUse: boolean): { readonly folder: Folder; readonly watch: number } | undefined {
    const bytes = Buffer.from(path, 'latin1');
    let real: Buffer;
    try {
      real = realpathSync.native(bytes, { encoding: 'buffer' });
    } catch {
      return undefined;
    }
    const group = this.#groups.of(this.#groups.mountOf(real));
    if (group === undefined) return undefined;
    if (!real.equals(bytes)) noteAlias(group, real.toString('latin1'), path);
    const folder = this.tree.make(path);
    folder.wanted = true;
    const done =
      group.kind === 'filesystem' ? this.#name(group, folder, bytes) : this.#markAll(group, folder, bytes, inUse);
    if (!done) {
      // Without a key nothing is reported of it. The path stays wanted: the folder may come back.
      return undefined;
    }
    return { folder, watch: group.kind === 'filesystem' ? group.watch : folder.watch };
  }

  #name(group: Group, folder: Folder, path: Buffer): boolean {
    const key = this.#options.handles?.handleAt(path);
    if (key === undefined) return false;
    // From the top, as for marks: what is renamed in them has to be understood.
    for (const at of this.#above(group, folder)) {
      const place = Buffer.from(this.tree.pathOf(at) ?? '', 'latin1');
      const own = this.#options.handles?.handleAt(place);
      if (own !== undefined) bind(group, at, own);
    }
    bind(group, folder, key);
    return true;
  }

  /** The folders above one within its file system that have no key yet, from the top. */
  #above(group: Group, folder: Folder): Folder[] {
    const above: Folder[] = [];
    for (let at = folder.parent; at?.parent !== undefined && at.key === undefined; at = at.parent) {
      const device = this.#groups.deviceOf(Buffer.from(this.tree.pathOf(at) ?? '', 'latin1'));
      if (device === undefined || (group.device !== undefined && device !== group.device)) break;
      above.push(at);
    }
    return above.toReversed();
  }

  #markAll(group: Group, folder: Folder, path: Buffer, inUse: boolean): boolean {
    if (this.#used.delete(folder)) {
      if (folder.group === group && this.#isStill(folder, path)) {
        this.#used.add(folder);
        return true;
      }
      this.forget(folder);
    }
    // From the top, so that a rename that happens meanwhile is seen.
    for (const at of this.#above(group, folder)) {
      this.#mark(group, at, Buffer.from(this.tree.pathOf(at) ?? '', 'latin1'), false, inUse);
    }
    if (!this.#mark(group, folder, path, true, inUse)) return false;
    folder.watch = this.#groups.nextWatch();
    this.#used.add(folder);
    return true;
  }

  /** Marks a folder, if need be in the place of another. */
  #mark(group: Group, folder: Folder, path: Buffer, files: boolean, inUse: boolean): boolean {
    const marked = folder.key !== undefined;
    for (;;) {
      const result =
        !marked && this.#marked >= this.#options.mostMarks ? -ENOSPC : this.#tryMark(group, folder, path, files);
      if (result >= 0) {
        if (!marked) this.#marked++;
        return true;
      }
      if (result !== -ENOSPC) return false;
      this.limit ??=
        group.kind === 'inotify'
          ? 'raise /proc/sys/fs/inotify/max_user_watches'
          : 'raise /proc/sys/fs/fanotify/max_user_marks';
      const [oldest] = this.#used;
      if (!inUse || oldest === undefined || oldest === folder) return false;
      this.#giveUp(oldest, folder);
    }
  }

  #tryMark(group: Group, folder: Folder, path: Buffer, files: boolean): number {
    const calls = this.#options;
    if (group.kind === 'inotify') {
      const watch = calls.inotify?.watch(group.fd, path, files ? FILES_INOTIFY : ABOVE_INOTIFY) ?? -1;
      if (watch >= 0) bind(group, folder, watch);
      return watch;
    }
    const alone = folder.parent?.key === undefined ? FAN_MOVE_SELF : 0;
    const mask = (files ? FILES | FAN_EVENT_ON_CHILD : ABOVE) | alone;
    const result = calls.fanotify?.markFolder(group.fd, path, mask >>> 0) ?? -1;
    if (result < 0) return result;
    const key = calls.handles?.handleAt(path);
    if (key === undefined) return -1;
    bind(group, folder, key);
    return 0;
  }

  #isStill(folder: Folder, path: Buffer): boolean {
    return folder.group?.kind === 'inotify' || this.#options.handles?.handleAt(path) === folder.key;
  }

  /** Takes the mark of a folder away. */
  forget(folder: Folder): void {
    const { group, key } = folder;
    this.#used.delete(folder);
    if (group === undefined || key === undefined || group.kind === 'filesystem') return;
    const path = this.tree.pathOf(folder);
    if (typeof key === 'number') this.#options.inotify?.unwatch(group.fd, key);
    else if (path !== undefined) {
      const mask = (FILES | FAN_EVENT_ON_CHILD | FAN_MOVE_SELF) >>> 0;
      this.#options.fanotify?.unmarkFolder(group.fd, Buffer.from(path, 'latin1'), mask);
    }
    this.lost(folder);
  }

  /** Gives up a folder's mark, and those above it that serve neither another nor `wanted`. */
  #giveUp(folder: Folder, wanted: Folder): void {
    const kept = new Set<Folder>();
    for (let at: Folder | undefined = wanted; at !== undefined; at = at.parent) kept.add(at);
    for (let at: Folder | undefined = folder; at !== undefined && !kept.has(at); at = at.parent) {
      this.forget(at);
      const others = [...(at.parent?.children?.values() ?? [])].some(
        (child) => child !== at && child.key !== undefined,
      );
      if (others || at.parent?.wanted === true) return;
    }
  }

  /** Notes that the kernel has no mark of a folder any more. */
  lost(folder: Folder): void {
    if (folder.key === undefined) return;
    if (folder.group?.kind !== 'filesystem') {
      this.#marked--;
      this.#used.delete(folder);
      if (folder.watch !== 0) this.#options.ended([folder.watch]);
      folder.watch = 0;
    }
    unbind(folder);
  }

  /**
   * Reads the mount table again: ends the groups of file systems that are gone, forgets what lies under new mounts, and marks
   * what has come back. `lost`: there are folders with sources on or below a new mount.
   */
  mountsChanged(unmounted: ReadonlySet<number>): { readonly changed: boolean; readonly lost: boolean } {
    const { fresh, gone, ended } = this.#groups.readMounts(unmounted);
    for (const group of ended) this.#end(group);
    let lost = false;
    for (const { path } of gone) this.#loseBelow(path);
    for (const mount of fresh) {
      if (!this.#loseBelow(mount.path)) continue;
      lost = true;
      this.#groups.of(mount);
    }
    return { changed: fresh.length > 0 || gone.length > 0, lost };
  }

  /** Watches nothing more of a file system that is about to be unmounted: what happens on it must not be looked at. */
  leave(mountPoint: Buffer): void {
    const group = this.#groups.takeOut(mountPoint);
    if (group !== undefined) this.#end(group);
    this.#loseBelow(mountPoint);
    const top = this.tree.find(mountPoint.toString('latin1'));
    if (top !== undefined) this.tree.cut(top);
  }

  #end(group: Group): void {
    this.#options.ended([group.watch]);
    for (const folder of group.folders.values()) this.lost(folder);
    this.#options.close(group.fd);
  }

  /** Tells how each file system with sources is watched. */
  describe(): WatchedFileSystem<string>[] {
    const found = new Map<string, Mutable<WatchedFileSystem<string>>>();
    const at = (mountPoint: Buffer, group: Group | undefined): Mutable<WatchedFileSystem<string>> => {
      const name = mountPoint.toString('latin1');
      const kind = group === undefined ? 'none' : KINDS[group.kind];
      const one = found.get(name) ?? { mountPoint: name, kind, marks: 0, unwatched: 0, overflows: 0 };
      found.set(name, one);
      return one;
    };
    for (const group of this.groups) {
      if (group.kind !== 'inotify') at(group.mountPoint, group).overflows = group.overflows;
      if (group.kind === 'filesystem') at(group.mountPoint, group).marks = 1;
      if (group.kind === 'folders') at(group.mountPoint, group).marks = group.folders.size;
    }
    for (const folder of this.tree.below()) {
      const { group, wanted, key } = folder;
      if (!wanted && key === undefined) continue;
      const mount = this.#groups.mountOf(Buffer.from(this.tree.pathOf(folder) ?? '', 'latin1'));
      if (mount === undefined) continue;
      if (group?.kind === 'inotify' && key !== undefined) {
        const one = at(mount.path, group);
        one.marks++;
        one.overflows = group.overflows;
      } else if (key === undefined && found.get(mount.path.toString('latin1'))?.kind !== 'fanotify-filesystem') {
        const one = at(mount.path, undefined);
        one.unwatched++;
        one.why =
          this.limit === undefined ? 'are gone, or the kernel refuses to watch them' : `are too many: ${this.limit}`;
      }
    }
    return [...found.values()];
  }

  /** True if there are folders with sources below. */
  #loseBelow(path: Buffer): boolean {
    const top = this.tree.find(path.toString('latin1'));
    if (top === undefined) return false;
    let wanted = false;
    for (const folder of this.tree.below(top)) {
      wanted ||= folder.wanted;
      this.lost(folder);
    }
    return wanted;
  }

  /** After lost events: forgets what is not where it was. */
  verify(): void {
    for (const { kind, folders, unwanted } of this.groups) {
      unwanted.clear();
      for (const folder of folders.values()) {
        const path = this.tree.pathOf(folder);
        const still = path !== undefined && kind !== 'inotify' && this.#isStill(folder, Buffer.from(path, 'latin1'));
        if (!still) this.#forgetOrUnbind(folder);
      }
    }
    this.endAll();
  }

  /** Ends all watches: what is followed from now on has another number. The marks stay. */
  endAll(): void {
    const ended: number[] = [];
    for (const group of this.groups) {
      ended.push(group.watch);
      group.watch = this.#groups.nextWatch();
    }
    for (const folder of this.#used) {
      ended.push(folder.watch);
      folder.watch = this.#groups.nextWatch();
    }
    this.#options.ended(ended);
  }

  #forgetOrUnbind(folder: Folder): void {
    if (folder.group?.kind === 'inotify') this.forget(folder);
    else this.lost(folder);
  }

  /** A folder that was just made beside or in folders with sources: a file may be moved into it next. */
  addNew(path: string): boolean {
    const folder = this.tree.find(split(path).folder);
    if (folder === undefined || isLeftOut(Buffer.from(path, 'latin1'))) return false;
    const near = folder.wanted || [...(folder.children?.values() ?? [])].some(({ wanted }) => wanted);
    return near && this.add(path, true) !== undefined;
  }
}

/** Notes by which path a folder is recorded: what the real path and the recorded one have in common at their ends is left out. */
function noteAlias({ aliases }: Group, real: string, recorded: string): void {
  let [a, b] = [real, recorded];
  for (;;) {
    const [one, other] = [split(a), split(b)];
    if (one.name !== other.name || one.name === '' || one.folder === '/' || other.folder === '/') break;
    [a, b] = [one.folder, other.folder];
  }
  aliases.set(a, b);
}
