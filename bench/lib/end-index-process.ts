/** Ends the index process of a database, for measurements that begin without one. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openLevel } from '../../src/leveldb/open.ts';

/** Resolves when it has ended. It ends when its socket is gone. */
export async function endIndexProcess(db: string): Promise<void> {
  await rm(join(`${db}.process`, 'socket'), { force: true });
  const what = { code: 'INDEX', what: 'the collection index' } as const;
  await (await openLevel(db, { ...what, create: false, waitMs: 30_000 })).close();
}
