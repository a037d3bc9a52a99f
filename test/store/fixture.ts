/** Stores in temporary folders, and plans whose files do not exist. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { ExtentMap } from '../../src/extent/extent-map.ts';
import { silentLogger } from '../../src/logger.ts';
import type { Plan, PlanFile, PlanSource } from '../../src/plan/plan.ts';
import type { StoreLevel } from '../../src/store/records/database.ts';
import { Store, type StoreOptions } from '../../src/store/store.ts';
import { ROOT } from '../../src/store/tree/tree.ts';
import { fileOf, planOf } from '../harness/plans.ts';
import { openLevel } from '../harness/volume.ts';

export const hashOf = (name: string): string => createHash('sha1').update(name).digest('hex');

/** Opens the store in `folder`, runs `work` and closes the store. */
export async function withStore<T>(
  folder: string,
  work: (store: Store, level: StoreLevel) => Promise<T>,
  more: Partial<StoreOptions> = {},
): Promise<T> {
  const level = await openLevel(folder);
  try {
    const poolPath = join(folder, 'pool');
    const store = await Store.open(level, { logger: silentLogger, statePath: folder, poolPath, ...more });
    const result = await work(store, level);
    await store.close();
    return result;
  } finally {
    await level.close();
  }
}

const FIRST = { dev: 1, size: 100, mtimeNs: 1_500_000n, ctimeNs: 2_500_000n };

/** The record of a file that does not exist. */
export function source(name: string, spares: readonly number[] = []): PlanSource {
  return { path: Buffer.from(`/disk/${name}`), ...FIRST, ino: BigInt(name.length), spares };
}

/** A file of 10 bytes that source `from` supplies. */
export function file(path: string, from = 0, more: Partial<PlanFile> = {}): PlanFile {
  return fileOf(path.split('/'), [{ length: 10, source: from, sourceOffset: 7 }], { mtimeMs: 1234.5, ...more });
}

/** A plan that counts nothing as missing. */
export function plan(
  name: string,
  files: readonly PlanFile[],
  sources: readonly PlanSource[],
  infoHash = hashOf(name),
): Plan {
  return {
    ...planOf(name, sources, files),
    infoHash,
    metainfo: Buffer.from(`raw ${name}`),
    pieceCount: 3,
    verified: Buffer.from([0b1010_0000]),
    verify: 'probe',
    totalLength: files.length * 10,
    missingBytes: 0,
  };
}

/** Lists every path below `ino`, with inode numbers. */
export async function tree(store: Store, ino = ROOT, prefix = ''): Promise<string[]> {
  const paths: string[] = [];
  for await (const page of store.readdir(ino)) {
    for (const dirent of page) {
      paths.push(`${prefix}${dirent.name}`);
      if (dirent.type === 'directory') paths.push(...(await tree(store, dirent.ino, `${prefix}${dirent.name}/`)));
    }
  }
  return paths;
}

/** Resolves a path below the root. */
export function inoOf(store: Store, path: string): number {
  let ino = ROOT;
  for (const name of path.split('/')) ino = store.lookup(ino, name)?.ino ?? -1;
  return ino;
}

/** The extents of a file that nobody has written to. */
export function extentsOf(store: Store, path: string): ExtentMap {
  const content = store.bytes.acquire(inoOf(store, path));
  if (content instanceof Promise) throw new Error(`${path} is overlaid`);
  store.bytes.release(content);
  if (content.kind === 'plain') throw new Error(`${path} is plain`);
  return content.extents;
}

export async function letters(level: StoreLevel): Promise<string> {
  return (await level.keys().all()).map((key) => key.toString('latin1', 0, 1)).join('');
}
