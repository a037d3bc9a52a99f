/** Files as folders have them: single ones, and whole trees. */
import type { CollectionFile, FolderRef, FolderTree } from '../index.ts';
import type { FolderRecord } from '../scan/folder-record.ts';
import { baseName, type FolderStore, joinPath, RECORDS_AT_ONCE } from './folder-store.ts';
import { NONE } from './folder-table.ts';

interface Tree extends FolderTree {
  readonly files: FolderTree['files'][number][];
}

/** A folder of a tree that is being read. */
interface TreeFolder extends FolderRef {
  readonly relative: readonly Buffer[];
  /** The files of its tree. */
  readonly files: Tree['files'];
}

/** The file at a position of a folder. */
export function fileOf(store: FolderStore, folder: FolderRef, record: FolderRecord, file: number): CollectionFile {
  const { release } = store.knownRow(folder.id);
  const name = Buffer.from(record.fileName(file));
  return {
    folder: folder.id,
    path: joinPath(folder.path, name),
    name,
    size: record.sizes[file] ?? 0,
    release: release === NONE ? null : release,
  };
}

/** Gives everything below some folders. `counted` hears how many files and folders were read so far, and may throw. */
export async function readTrees(
  store: FolderStore,
  folders: readonly number[],
  counted: (count: number) => void,
): Promise<FolderTree[]> {
  const paths = await store.paths(folders.filter((folder) => store.row(folder) !== undefined));
  const trees: Tree[] = [];
  let level: TreeFolder[] = [];
  for (const id of folders) {
    const known = store.row(id) !== undefined;
    const path = (known ? paths.shift() : undefined) ?? Buffer.alloc(0);
    const tree: Tree = { root: { id, path }, name: Buffer.from(baseName(path)), files: [] };
    trees.push(tree);
    if (known) level.push({ id, path, relative: [], files: tree.files });
  }
  let count = 0;
  // All trees at once, level by level: many small trees would be many small reads.
  while (level.length > 0) {
    const below: TreeFolder[] = [];
    for (let from = 0; from < level.length; from += RECORDS_AT_ONCE) {
      const chunk = level.slice(from, from + RECORDS_AT_ONCE);
      const records = await store.records(chunk.map(({ id }) => id));
      for (const at of chunk) {
        const record = records.get(at.id);
        if (record === undefined) continue;
        count += record.files + record.subfolders;
        counted(count);
        for (const folder of readTreeFolder(store, at, record)) below.push(folder);
      }
    }
    level = below;
  }
  return trees;
}

/** Adds the folder's files to its tree. Returns its subfolders. */
function readTreeFolder(store: FolderStore, folder: TreeFolder, record: FolderRecord): TreeFolder[] {
  const { id, path, relative, files } = folder;
  for (let index = 0; index < record.files; index++) {
    if (record.isGrowing(index)) continue;
    const file = fileOf(store, folder, record, index);
    files.push({ file, relative: [...relative, file.name] });
  }
  const { firstSubfolder } = store.knownRow(id);
  const below: TreeFolder[] = [];
  for (let sub = 0; sub < record.subfolders; sub++) {
    if (store.row(firstSubfolder + sub) === undefined) continue; // the scan skipped it
    const name = Buffer.from(record.subfolderName(sub), 'latin1');
    below.push({ id: firstSubfolder + sub, path: joinPath(path, name), relative: [...relative, name], files });
  }
  return below;
}
