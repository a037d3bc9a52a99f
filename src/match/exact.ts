/**
 * The `exact` mode finds a copy of the whole torrent, or of its single file, under its own name with every size equal.
 *
 * It compares names as bytes: as the torrent's `path` has them, or as UTF-8 where that differs. Files without bytes and pads
 * may be missing, since nothing has to be read for them.
 */
import type { CollectionFile, CollectionIndex, FolderTree } from '../collection/index.ts';
import { components } from './likeness.ts';
import { askByNameAndSize, questionKey } from './normal.ts';
import type { FileTask, TorrentTask } from './torrent-task.ts';

export async function proposeExact(torrents: readonly TorrentTask[], index: CollectionIndex): Promise<void> {
  await proposeFolders(
    torrents.filter(({ metainfo }) => metainfo.multi),
    index,
  );
  await proposeSingleFiles(
    torrents.filter(({ metainfo }) => !metainfo.multi),
    index,
  );
}

async function proposeFolders(torrents: readonly TorrentTask[], index: CollectionIndex): Promise<void> {
  const names = torrents.flatMap((torrent) => spellings(torrent).map((name) => ({ torrent, name })));
  if (names.length === 0) return;
  const folders = await index.folders(names.map(({ name }) => name));
  const ids = [...new Set(folders.flat().map((folder) => folder.id))];
  if (ids.length === 0) return;
  const trees = new Map((await index.trees(ids)).map((tree) => [tree.root.id, tree]));
  const relative = new Map<FolderTree, ReadonlyMap<string, CollectionFile>>();
  for (const [i, { torrent }] of names.entries()) {
    for (const { id } of inOrder(folders[i] ?? [])) {
      const tree = trees.get(id);
      if (tree === undefined) continue;
      const files = relative.get(tree) ?? new Map(tree.files.map((f) => [pathKey(f.relative), f.file]));
      relative.set(tree, files);
      const found = allInTree(torrent, files);
      if (found !== undefined) propose(torrent, found, parentOf(tree.root.path));
    }
  }
}

async function proposeSingleFiles(torrents: readonly TorrentTask[], index: CollectionIndex): Promise<void> {
  const answers = await askByNameAndSize(
    torrents.flatMap(({ files }) => files),
    index,
  );
  for (const torrent of torrents) {
    const [task] = torrent.files;
    if (task === undefined) continue;
    const names = spellings(torrent);
    for (const file of inOrder(answers.get(questionKey(task)) ?? [])) {
      if (names.some((name) => name.equals(file.name))) propose(torrent, [file], parentOf(file.path));
    }
  }
}

function propose(torrent: TorrentTask, found: readonly CollectionFile[], directory: Buffer): void {
  if (found.length === 0) return;
  torrent.exact.push({ directory, paths: new Set(found.map((file) => file.path.toString('latin1'))) });
  for (const [i, file] of found.entries()) torrent.files[i]?.propose({ file, mode: 'exact' });
}

/** Orders copies by path, since the index has no order: equal runs decide equally. */
function inOrder<T extends { readonly path: Buffer }>(found: readonly T[]): T[] {
  return found.toSorted((a, b) => Buffer.compare(a.path, b.path));
}

/** Undefined unless the tree has all files of the torrent. */
function allInTree(
  torrent: TorrentTask,
  files: ReadonlyMap<string, CollectionFile>,
): readonly CollectionFile[] | undefined {
  const found: CollectionFile[] = [];
  for (const task of torrent.files) {
    const file = inTree(task, files);
    if (file === undefined) return undefined;
    found.push(file);
  }
  return found;
}

function inTree(task: FileTask, files: ReadonlyMap<string, CollectionFile>): CollectionFile | undefined {
  const { rawPath, path, length } = task.file;
  const found = files.get(pathKey(rawPath)) ?? files.get(pathKey(path.map((name) => Buffer.from(name))));
  return found?.size === length ? found : undefined;
}

/** Lists the torrent's name as bytes in each way in which a client may have written it to a disk. */
function spellings({ metainfo }: TorrentTask): Buffer[] {
  const text = Buffer.from(metainfo.name);
  return text.equals(metainfo.rawName) ? [text] : [metainfo.rawName, text];
}

function pathKey(path: readonly Buffer[]): string {
  return path.map((name) => name.toString('latin1')).join('/');
}

function parentOf(path: Buffer): Buffer {
  const last = components(path).at(-1);
  const end = path.length - (last?.length ?? 0) - 1;
  return end <= 0 ? Buffer.from('/') : path.subarray(0, end);
}
