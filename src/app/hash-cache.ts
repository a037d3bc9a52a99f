/** Puts the cache of piece hashes beside the index before a pool, if it can be used. */
import type { Config } from '../config/config.ts';
import { hashCachePath } from '../config/state-paths.ts';
import { errnoOf, messageOf } from '../errors.ts';
import { createCachedPool } from '../hash/cached-pool.ts';
import type { DigestDatabase } from '../hash/digest-cache.ts';
import type { HashPool } from '../hash/hash-pool.ts';
import type { Logger } from '../logger.ts';
import type { SourceAccess } from '../source/source-access.ts';

/**
 * Puts the cache before `pool`; closing the result closes both. One process at a time may open the database, and no command
 * waits for another's cache. Without the database, equal questions of several callers are still hashed only once.
 */
export async function withHashCache(
  pool: HashPool,
  config: Config,
  access: SourceAccess,
  logger: Logger,
): Promise<HashPool> {
  return createCachedPool({ pool, access, database: await openDigests(config, logger), logger });
}

async function openDigests(config: Config, logger: Logger): Promise<DigestDatabase | undefined> {
  try {
    // Loaded here, as a dry run has no use for it.
    const { openLevel } = await import('../leveldb/open.ts');
    const what = 'the cache of piece hashes';
    const location = hashCachePath(config.db);
    // LevelDB takes the modes of its files from here. The commands that hash make no file for anybody else.
    process.umask(0o077);
    return await openLevel(location, { code: 'INDEX', what, create: true, waitMs: 0, logger });
  } catch (error) {
    const held = error instanceof Error && errnoOf(error.cause) === 'LEVEL_LOCKED';
    const message = `hashing goes on without: ${messageOf(error)}`;
    if (held) logger.debug(message);
    else logger.warn(`${message} (it may be deleted)`);
    return undefined;
  }
}
