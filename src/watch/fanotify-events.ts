/**
 * Makes events of sources out of those of fanotify, and keeps the tree of folders right. All others are dropped here.
 *
 * The kernel merges events that say the same while they wait: of `a→b, b→a, a→b` two are left. So where a folder is now is
 * compared with its handle in the end.
 */
import {
  FAN_ATTRIB,
  FAN_CLOSE_WRITE,
  FAN_CREATE,
  FAN_DELETE,
  FAN_MODIFY,
  FAN_MOVE_SELF,
  FAN_ONDIR,
  FAN_Q_OVERFLOW,
  FAN_RENAME,
  type FanotifyEvent,
  type NamedPlace,
} from '../native/fanotify.ts';
import type { FolderHandleCalls } from '../native/folder-handles.ts';
import { type Folder, inside, split } from './folder-tree.ts';
import { bind, type Group, noteUnwanted, sourcesOf } from './group.ts';
import type { Marks } from './marks.ts';
import type { ThreadEvent } from './protocol.ts';

/** Folders that were moved out of sight and are remembered, in case that they come back. */
const MOST_AWAY = 1000;

export interface EventsOptions {
  readonly marks: Marks;
  readonly handles: FolderHandleCalls;
  readonly emit: (event: ThreadEvent) => void;
}

export class FanotifyEvents {
  readonly #marks: Marks;
  readonly #handles: FolderHandleCalls;
  readonly #emit: EventsOptions['emit'];
  /** Folders that were moved out of sight, and where they were. */
  readonly #away = new Map<Folder, string>();
  /** Folders that were moved since the last `settle`. */
  readonly #check = new Map<Folder, Group>();

  constructor({ marks, handles, emit }: EventsOptions) {
    this.#marks = marks;
    this.#handles = handles;
    this.#emit = emit;
  }

  take(group: Group, event: FanotifyEvent): void {
    const { mask } = event;
    if ((mask & FAN_Q_OVERFLOW) !== 0) {
      group.overflows++;
      this.#marks.verify();
      this.#emit({ kind: 'overflow' });
      return;
    }
    const ofFolder = (mask & FAN_ONDIR) !== 0;
    if ((mask & FAN_RENAME) !== 0) {
      if (ofFolder) this.#folderRenamed(group, event);
      else this.#fileRenamed(group, event);
    } else if (ofFolder) this.#folder(group, event);
    else this.#file(group, event);
  }

  #file(group: Group, { mask, place, object }: FanotifyEvent): void {
    const sources = sourcesOf(group, object);
    const folder = place === undefined || place.name === '.' ? undefined : this.#find(group, place.folder);
    if (folder?.wanted !== true && sources === undefined) return;
    const above = folder === undefined ? undefined : this.#marks.tree.pathOf(folder);
    const path = above === undefined || place === undefined ? undefined : inside(above, place.name);
    const about = {
      ...(object === undefined ? {} : { handle: object }),
      ...(sources === undefined ? {} : { sources }),
    };
    const what = path === undefined ? about : { ...about, path };
    if (path !== undefined && (mask & FAN_CREATE) !== 0)
      this.#emit({ ...about, kind: 'appeared', folder: false, path });
    if ((mask & FAN_MODIFY) !== 0) this.#emit({ ...what, kind: 'written' });
    else if ((mask & FAN_CLOSE_WRITE) !== 0) this.#emit({ ...what, kind: 'closed' });
    if ((mask & FAN_ATTRIB) !== 0) this.#emit({ ...what, kind: 'attributes' });
    if (path !== undefined && (mask & FAN_DELETE) !== 0) this.#emit({ ...about, kind: 'deleted', folder: false, path });
  }

  #fileRenamed(group: Group, { from, to, object }: FanotifyEvent): void {
    const sources = sourcesOf(group, object);
    const [left, entered] = [this.#find(group, from?.folder), this.#find(group, to?.folder)];
    if (sources === undefined && left?.wanted !== true && entered?.wanted !== true) return;
    const fromPath = this.#path(group, from, left);
    const toPath = this.#path(group, to, entered);
    const about = {
      folder: false,
      ...(object === undefined ? {} : { handle: object }),
      ...(sources === undefined ? {} : { sources }),
    } as const;
    if (toPath !== undefined && to !== undefined) {
      const target = entered ?? this.#wantedFolder(group, to.folder, toPath);
      if (target !== undefined) target.wanted = true;
      const watch = group.kind === 'filesystem' ? group.watch : (target?.watch ?? 0);
      if (fromPath !== undefined) this.#emit({ kind: 'renamed', from: fromPath, to: toPath, watch, ...about });
      else this.#emit({ kind: 'appeared', path: toPath, ...about });
    } else if (fromPath !== undefined) this.#emit({ kind: 'left', path: fromPath, ...about });
  }

  /** The folder of a source's new place, which had no sources before. Folders with marks of their own have been found. */
  #wantedFolder(group: Group, key: string, file: string): Folder | undefined {
    if (group.kind !== 'filesystem') return undefined;
    const folder = this.#marks.tree.make(file.slice(0, Math.max(1, file.lastIndexOf('/'))));
    bind(group, folder, key);
    return folder;
  }

  #path(group: Group, place: NamedPlace | undefined, folder: Folder | undefined): string | undefined {
    if (place === undefined) return undefined;
    const above = folder === undefined ? this.#recorded(group, place.folder)[0] : this.#marks.tree.pathOf(folder);
    return above === undefined ? undefined : inside(above, place.name);
  }

  #folder(group: Group, { mask, place, object }: FanotifyEvent): void {
    if ((mask & FAN_MOVE_SELF) !== 0) {
      // Only folders whose parent has no mark ask for this.
      const key = object ?? place?.folder;
      const moved = key === undefined ? undefined : group.folders.get(key);
      if (moved !== undefined) this.#moved(group, moved, undefined);
      return;
    }
    if (place === undefined || place.name === '.') return;
    const above = this.#find(group, place.folder);
    const parent = above === undefined ? undefined : this.#marks.tree.pathOf(above);
    if (above === undefined || parent === undefined) return;
    const path = inside(parent, place.name);
    if ((mask & FAN_DELETE) !== 0) {
      const folder = (object === undefined ? undefined : group.folders.get(object)) ?? above.children?.get(place.name);
      if (folder !== undefined) {
        for (const each of this.#marks.tree.below(folder)) this.#marks.lost(each);
        this.#emit({ kind: 'deleted', path, folder: true });
      }
    }
    if ((mask & FAN_CREATE) !== 0) {
      group.unwanted.clear();
      if (above.children?.has(place.name) === true) this.#emit({ kind: 'appeared', path, folder: true });
      else if (group.kind === 'folders' && this.#marks.addNew(path))
        this.#emit({ kind: 'appeared', path, folder: true });
    }
  }

  #folderRenamed(group: Group, { from, to, object }: FanotifyEvent): void {
    group.unwanted.clear();
    const { tree } = this.#marks;
    const left = this.#find(group, from?.folder);
    const folder = (object === undefined ? undefined : group.folders.get(object)) ?? this.#unnamed(left, from?.name);
    const entered = this.#find(group, to?.folder);
    const toPath = this.#path(group, to, entered);
    if (folder === undefined) {
      // A folder that had no sources: it may be one that is put back.
      const known = toPath === undefined ? undefined : tree.find(toPath);
      if (known !== undefined && toPath !== undefined) this.#emit({ kind: 'appeared', path: toPath, folder: true });
      else if (toPath !== undefined && group.kind === 'folders' && this.#marks.addNew(toPath)) {
        this.#emit({ kind: 'appeared', path: toPath, folder: true });
      }
      return;
    }
    if (object !== undefined && group.kind === 'filesystem') bind(group, folder, object);
    this.#moved(group, folder, toPath);
    this.#check.set(folder, group);
  }

  /**
   * After each reading: compares where the folders are that were moved with where the events said, since some of them may have
   * been merged.
   */
  settle(): void {
    const checked = [...this.#check];
    this.#check.clear();
    for (const [folder, group] of checked) {
      const said = this.#marks.tree.pathOf(folder);
      if (said === undefined || folder.key === undefined || folder.group !== group) continue;
      if (this.#handles.handleAt(Buffer.from(said, 'latin1')) === folder.key) continue;
      const now = typeof folder.key === 'string' ? this.#recorded(group, folder.key)[0] : undefined;
      if (now === undefined && this.#isAboveElsewhere(folder)) this.#check.set(folder, group);
      else if (now === undefined || !this.#onlyAboveMoved(folder, now)) this.#moved(group, folder, now);
    }
  }

  /** True: a folder above it was moved since, of which an event comes. Only then can be told where this one is. */
  #isAboveElsewhere({ parent }: Folder): boolean {
    for (let above = parent; above?.key !== undefined; above = above.parent) {
      const said = this.#marks.tree.pathOf(above);
      if (said === undefined) return false;
      if (this.#handles.handleAt(Buffer.from(said, 'latin1')) !== above.key) return true;
    }
    return false;
  }

  /** True: the folder is where it was said to be, and one above it was moved since, of which an event comes. */
  #onlyAboveMoved({ name, parent }: Folder, now: string): boolean {
    const place = split(now);
    return (
      place.name === name &&
      parent?.key !== undefined &&
      this.#handles.handleAt(Buffer.from(place.folder, 'latin1')) === parent.key
    );
  }

  /** A folder with sources of which no handle is known yet; its name may have been given to another already. */
  #unnamed(parent: Folder | undefined, name: string | undefined): Folder | undefined {
    if (parent === undefined || name === undefined) return undefined;
    const child = parent.children?.get(name);
    if (child !== undefined && child.key === undefined) return child;
    const above = this.#marks.tree.pathOf(parent);
    if (above === undefined) return undefined;
    for (const [folder, path] of this.#away)
      if (folder.key === undefined && path === inside(above, name)) return folder;
    return undefined;
  }

  /** Hangs a folder where it is now; undefined is out of sight. */
  #moved(group: Group, folder: Folder, path: string | undefined): void {
    const { tree } = this.#marks;
    const before = tree.pathOf(folder) ?? this.#away.get(folder);
    if (before === path) {
      if (!this.#away.delete(folder)) return;
      if (path !== undefined) this.#hang(folder, path);
      if (path !== undefined) this.#emit({ kind: 'appeared', path, folder: true });
      return;
    }
    this.#away.delete(folder);
    const handle = typeof folder.key === 'string' ? { handle: folder.key } : {};
    if (path === undefined) {
      tree.cut(folder);
      if (before !== undefined) this.#remember(folder, before);
      if (before !== undefined) this.#emit({ kind: 'left', path: before, folder: true, ...handle });
      return;
    }
    this.#hang(folder, path);
    if (before === undefined) this.#emit({ kind: 'appeared', path, folder: true, ...handle });
    else
      this.#emit({
        kind: 'renamed',
        from: before,
        to: path,
        folder: true,
        watch: this.#watchOf(group, folder),
        ...handle,
      });
  }

  #watchOf(group: Group, folder: Folder): number {
    return group.kind === 'filesystem' ? group.watch : folder.watch;
  }

  #hang(folder: Folder, path: string): void {
    const { tree } = this.#marks;
    const there = tree.find(path);
    if (there !== undefined && there !== folder) {
      // Its place was taken: it was empty, or is exchanged, and its own event comes next.
      tree.cut(there);
      if (there.key !== undefined || there.wanted) this.#remember(there, path);
      else for (const child of there.children?.values() ?? []) tree.hang(child, folder);
    }
    const slash = path.lastIndexOf('/');
    tree.hang(folder, tree.make(path.slice(0, Math.max(1, slash))), path.slice(slash + 1));
  }

  #remember(folder: Folder, path: string): void {
    const [oldest] = this.#away.keys();
    if (this.#away.size >= MOST_AWAY && oldest !== undefined) {
      this.#away.delete(oldest);
      for (const each of this.#marks.tree.below(oldest)) this.#marks.lost(each);
    }
    this.#away.set(folder, path);
  }

  /** The folder of a handle, if it has sources or is above one that has. */
  #find(group: Group, key: string | undefined): Folder | undefined {
    if (key === undefined) return undefined;
    const known = group.folders.get(key);
    if (known !== undefined || group.kind !== 'filesystem' || group.unwanted.has(key)) return known;
    for (const path of this.#recorded(group, key)) {
      const folder = this.#marks.tree.find(path);
      if (folder === undefined) continue;
      bind(group, folder, key);
      return folder;
    }
    noteUnwanted(group, key);
    return undefined;
  }

  /** Asks where a folder is, and by which paths it may be recorded: the likeliest first. */
  #recorded(group: Group, key: string): readonly string[] {
    if (group.kind !== 'filesystem') return [];
    const real = this.#handles.pathOf(key, group.mountPoint)?.toString('latin1');
    if (real === undefined) return [];
    const paths: string[] = [];
    for (const [prefix, recorded] of group.aliases) {
      if (real === prefix) paths.push(recorded);
      else if (real.startsWith(`${prefix}/`)) paths.push(recorded + real.slice(prefix.length));
    }
    return [...paths, real];
  }
}
