/** What the index knows of one path. Paths and names are byte strings, but for those of answers. */
import type { Indexed } from '../index.ts';
import { type FolderRecord, IGNORED } from '../scan/folder-record.ts';
import { isInside } from '../scan/mounts.ts';
import { rebase } from '../scan/scan-roots.ts';
import type { FolderStore } from './folder-store.ts';
import { NONE } from './folder-table.ts';
import type { IndexState } from './index-database.ts';

export async function knownPath(given: string, { roots, builtMs }: IndexState, store: FolderStore): Promise<Indexed> {
  const named = roots.find(({ path }) => isInside(given, path));
  const root = named ?? roots.find(({ real }) => isInside(given, real));
  if (root === undefined) return { disk: null, kind: 'nothing', builtMs };
  const path = named === undefined ? rebase(given, root.real, root.path) : given;
  const disk = Buffer.from(root.path, 'latin1');
  const paths = roots.map((one) => one.path);
  const releaseOf = async (folder: number): Promise<{ release?: Buffer }> => {
    const { release } = store.knownRow(folder);
    const [at] = release === NONE ? [] : await store.paths([release]);
    return at === undefined ? {} : { release: at };
  };
  const folder = await store.find(path, paths);
  if (folder !== undefined) return { disk, kind: 'folder', ...(await releaseOf(folder)), builtMs };
  const parent = await store.find(path.slice(0, path.lastIndexOf('/')) || '/', paths);
  const record = parent === undefined ? undefined : (await store.records([parent])).get(parent);
  if (parent === undefined || record === undefined) return { disk, kind: 'nothing', builtMs };
  const found = inFolder(record, path.slice(path.lastIndexOf('/') + 1));
  const release = await releaseOf(parent);
  // In a release nothing is ignored.
  const { code, ...rest } = found;
  const counts = code !== undefined && !(code === 'ignored' && release.release !== undefined);
  return { disk, ...rest, ...(counts ? { code } : {}), ...release, builtMs };
}

function inFolder(record: FolderRecord, name: string): Pick<Indexed, 'kind' | 'code' | 'size'> {
  for (let i = 0; i < record.files; i++) {
    if (record.fileName(i).toString('latin1') !== name) continue;
    const size = record.sizes[i] ?? 0;
    if (record.isGrowing(i)) return { kind: 'file', code: 'growing', size };
    const isIgnored = ((record.fileFlags[i] ?? 0) & IGNORED) !== 0;
    return { kind: 'file', ...(isIgnored ? { code: 'ignored' as const } : {}), size };
  }
  for (let i = 0; i < record.leftOut; i++) {
    const left = record.leftOutName(i);
    if (left.name.toString('latin1') === name) return { kind: 'left out', code: left.why };
  }
  return { kind: 'nothing' };
}
