/** The cache of piece hashes beside the index: used where it can be, and done without where not. */
import type { Config } from '../config/config.ts';
import { hashCachePath } from '../config/state-paths.ts';
import { errnoOf, messageOf } from '../errors.ts';
import type { HashPool } from '../hash/hash-pool.ts';
import { openLevel } from '../leveldb/open.ts';
import type { Logger } from '../logger.ts';

/** `pool`, which is closed with what this gives. LevelDB is one process at a time: nobody waits for another's cache. */
export async function withHashCache(pool: HashPool, config: Config, logger: Logger): Promise<HashPool> {
  try {
    const what = 'the cache of piece hashes';
    const location = hashCachePath(config.db);
    const database = await openLevel(location, { code: 'INDEX', what, create: true, waitMs: 0 });
    const { createCachedPool } = await import('../hash/cached-pool.ts');
    return createCachedPool({ pool, database, logger });
  } catch (error) {
    const held = error instanceof Error && errnoOf(error.cause) === 'LEVEL_LOCKED';
    const message = `hashing goes on without: ${messageOf(error)}`;
    if (held) logger.debug(message);
    else logger.warn(`${message} (it may be deleted)`);
    return pool;
  }
}
