/**
 * The entries of a store that no server has open, for commands that only ask. Nothing is recovered or migrated: that is the next
 * server's work. As long as it is open no server can start, so it is closed as soon as the answers are read.
 */
import type { KnownEntries } from '../app/explain/known-entries.ts';
import type { Config } from '../config/config.ts';
import { poolPath, statePaths } from '../config/state-paths.ts';
import { AutotorrentError } from '../errors.ts';
import { GAP } from '../extent/extent.ts';
import { isMissing } from '../leveldb/folder.ts';
import { openLevel } from '../leveldb/open.ts';
import type { Logger } from '../logger.ts';
import { Store } from '../store/store.ts';

/** Another command that only asks is done in a moment. */
const LOCK_WAIT_MS = 2000;

/**
 * Opens the store of a configuration; undefined if there is none yet.
 * @throws AutotorrentError('STORE') if a process has it open, another version wrote it, or its last server did not end by itself
 */
export async function openStoppedStore(config: Config, logger: Logger): Promise<KnownEntries | undefined> {
  const location = statePaths(config.statePath).store;
  if (await isMissing(location)) return undefined;
  const db = await openLevel(location, {
    code: 'STORE',
    what: 'the store',
    create: false,
    waitMs: LOCK_WAIT_MS,
    logger,
  });
  try {
    const { statePath } = config;
    const store = await Store.openAsItIs(db, { logger, statePath, poolPath: poolPath(config.db) });
    return entriesIn(store, async () => {
      await store.close();
      await db.close();
    });
  } catch (error) {
    await db.close();
    throw error;
  }
}

function entriesIn(store: Store, close: () => Promise<void>): KnownEntries {
  return {
    async list() {
      const entries = [];
      for await (const { name, infoHash, kind, missingBytes } of store.entries()) {
        entries.push({ name, infoHash, lacks: kind === 'mount' && missingBytes > 0 });
      }
      return entries;
    },
    async metainfo(infoHash) {
      const metainfo = store.metainfo(infoHash);
      if (metainfo === undefined) throw new AutotorrentError('STORE', `the metainfo of ${infoHash} is lost`);
      return metainfo;
    },
    async *gaps(infoHash) {
      for await (const { extents } of store.files(infoHash)) yield extents.filter(({ source }) => source === GAP);
    },
    async *sourcesBelow(folder) {
      const all = folder.length === 1 ? store.sources() : store.living.sourcesBelow(folder);
      for await (const page of all) {
        for (const { id } of page) {
          const path = store.source(id)?.path;
          if (path === undefined) continue;
          const users = await Promise.all((await store.living.usersOf(id)).map((entry) => store.entryById(entry)));
          yield { path, infoHashes: users.flatMap((entry) => entry?.infoHash ?? []) };
        }
      }
    },
    close,
  };
}
