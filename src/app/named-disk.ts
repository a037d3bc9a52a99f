/** A disk as a user names it to `release` and `verify --give-up`. */
import { resolve } from 'node:path';
import type { Config } from '../config/config.ts';

/** `id`: as `show` gives it (`uuid:…`, `mount:…`). `path`: the folder of its key in `[disks]`, or one relative to `cwd`. */
export type NamedDisk = { readonly id: string } | { readonly path: string };

export function namedDisk(disk: string, cwd: string, { diskNames }: Pick<Config, 'diskNames'>): NamedDisk {
  const path = diskNames.get(disk.toLowerCase());
  if (path !== undefined) return { path };
  return /^(?:uuid|mount):/.test(disk) ? { id: disk } : { path: resolve(cwd, disk) };
}
