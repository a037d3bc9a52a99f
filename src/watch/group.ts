/** One source of events: a file system that is marked whole, one whose folders are marked, or inotify for all others. */
import type { Folder } from './folder-tree.ts';

/** Handles of folders without sources that are remembered at most. */
const MOST_UNWANTED = 20_000;

export interface Group {
  readonly fd: number;
  readonly kind: 'filesystem' | 'folders' | 'inotify';
  /** `MountedAt.dev`; undefined for inotify, which serves all file systems. */
  readonly device: number | undefined;
  /** Where the file system is mounted: handles are resolved by it. */
  mountPoint: Buffer;
  /** The watch of all files of a file system that is marked whole. */
  watch: number;
  /** By what `Unmounts` reports its end; negative: it does not. */
  readonly unmount: number;
  /** How often the kernel has lost events. */
  overflows: number;
  readonly folders: Map<string | number, Folder>;
  /** Handles that were resolved, and found to be of folders that have no sources. */
  readonly unwanted: Set<string>;
  /** Handles of files, and the sources that they are. */
  readonly followed: Map<string, number | readonly number[]>;
  /** Real paths of folders that are recorded by another path: a disk whose name is a symbolic link, or a second mount. */
  readonly aliases: Map<string, string>;
}

export function noteUnwanted({ unwanted }: Group, key: string): void {
  if (unwanted.size >= MOST_UNWANTED) unwanted.clear();
  unwanted.add(key);
}

export function follow({ followed }: Group, key: string, source: number): void {
  const before = followed.get(key);
  if (before === undefined) followed.set(key, source);
  else if (typeof before === 'number') {
    if (before !== source) followed.set(key, [before, source]);
  } else if (!before.includes(source)) followed.set(key, [...before, source]);
}

export function sourcesOf({ followed }: Group, key: string | undefined): readonly number[] | undefined {
  const sources = key === undefined ? undefined : followed.get(key);
  return typeof sources === 'number' ? [sources] : sources;
}

/** Binds a folder to the key by which the group's events name it. */
export function bind(group: Group, folder: Folder, key: string | number): void {
  if (folder.group === group && folder.key === key) return;
  unbind(folder);
  const other = group.folders.get(key);
  if (other !== undefined) other.key = undefined;
  folder.group = group;
  folder.key = key;
  group.folders.set(key, folder);
  if (typeof key === 'string') group.unwanted.delete(key);
}

export function unbind(folder: Folder): void {
  if (folder.key !== undefined && folder.group?.folders.get(folder.key) === folder) {
    folder.group.folders.delete(folder.key);
  }
  folder.key = undefined;
  folder.group = undefined;
}
