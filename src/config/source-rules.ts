/** The folders of a configuration that may hold sources. */
import { join } from 'node:path';
import { givenFoldersPath } from '../source/given-folders.ts';
import type { SourceRules } from '../source/source-folders.ts';
import type { Config } from './config.ts';
import { poolPath } from './state-paths.ts';

/** Of the store's state only what supplies bytes: links to the pool, and what clients wrote. */
export function sourceRules({ db, statePath, disks }: Pick<Config, 'db' | 'statePath' | 'disks'>): SourceRules {
  const own = [poolPath(db), join(statePath, 'pooled'), join(statePath, 'overlay')];
  return { disks, own, given: givenFoldersPath(db) };
}
