/** Finds the releases inside a torrent, each of which `unsplitable` matches as a whole. */

import { normaliseName } from '../collection/names.ts';
import { isReleaseFolder, isReleasePart, isSidecar } from '../collection/release.ts';
import type { FileTask, TorrentTask } from './torrent-task.ts';

export interface TorrentRelease {
  /** The normalised name of its folder. Undefined if the torrent does not tell: its own folder is a `CD1`. */
  readonly name: string | undefined;
  readonly members: readonly ReleaseMember[];
  readonly byTask: ReadonlyMap<FileTask, ReleaseMember>;
}

export interface ReleaseMember {
  readonly task: FileTask;
  /** Normalised names below the release's folder, joined by `/`. */
  readonly relative: string;
  /** May be missing from a copy of the release (`isSidecar`). */
  readonly dispensable: boolean;
}

/** Lists the releases. Files outside of any release are in none of them. */
export function releasesOf({ metainfo, files }: TorrentTask): TorrentRelease[] {
  if (!metainfo.multi) return [];
  const folders = new Map<string, { path: readonly string[]; names: string[] }>();
  for (const { path } of metainfo.files) {
    const folder = path.slice(0, -1);
    const key = folder.join('/');
    const entry = folders.get(key) ?? { path: folder, names: [] };
    folders.set(key, entry);
    entry.names.push(path.at(-1) ?? '');
  }
  const roots: (readonly string[])[] = [];
  for (const { path, names } of folders.values()) {
    if (!isReleaseFolder(names)) continue;
    let depth = path.length;
    while (depth > 0 && isReleasePart(path[depth - 1] ?? '')) depth--;
    roots.push(path.slice(0, depth));
  }
  if (roots.length === 0) return [];

  // A torrent with the name of a release's part is a part: the release's folder is above it.
  const inside = isReleasePart(metainfo.name);
  const members = new Map<string, { root: readonly string[]; members: ReleaseMember[] }>();
  const keys = new Map(roots.map((root) => [root.join('/'), root]));
  for (const task of files) {
    const { path } = task.file;
    let root: readonly string[] | undefined;
    // A file belongs to the nearest root above it, as in the collection.
    for (let depth = path.length - 1; depth >= 0 && root === undefined; depth--) {
      root = keys.get(path.slice(0, depth).join('/'));
    }
    if (root === undefined) continue;
    const key = root.join('/');
    const release = members.get(key) ?? { root, members: [] };
    members.set(key, release);
    const below = root.length === 0 && inside ? [metainfo.name, ...path] : path.slice(root.length);
    release.members.push({
      task,
      relative: below.map(normaliseName).join('/'),
      dispensable: isSidecar(below),
    });
  }
  return [...members.values()].map(({ root, members }) => ({
    name: root.length === 0 && inside ? undefined : normaliseName(root.at(-1) ?? metainfo.name),
    members,
    byTask: new Map(members.map((member) => [member.task, member])),
  }));
}
