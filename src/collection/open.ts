/** Opens the collection of a configuration. The index process of its `db` keeps it, which callers do not see. */
import type { Logger } from '../logger.ts';
import type { Collection } from './collection.ts';
import { type Connection, connectToProcess, findProcess } from './process/client/connection.ts';
import { processFolder } from './process/client/folder.ts';
import { openRemoteIndex } from './process/client/remote-index.ts';
import { noneStops, rebuildRemotely } from './process/client/remote-rebuild.ts';

export interface CollectionConfig {
  /** The index: a LevelDB folder. */
  readonly db: string;
}

export interface OpenCollectionOptions {
  readonly logger: Logger;
  /** Ends waits, and stops a process from being started. */
  readonly signal: AbortSignal;
  /** Default: this program's. */
  readonly build?: string;
}

/** Returns the collection. Its methods connect to the index process. */
export function openCollection({ db }: CollectionConfig, options: OpenCollectionOptions): Collection {
  const connect = (create: boolean): Promise<Connection> => connectToProcess({ ...options, db, create });
  return {
    openIndex: () => openRemoteIndex(() => connect(false)),
    async rebuild(request, watcher = {}) {
      // The index may lie on one of the disks: it is not a file of the user.
      const own = [...(request.own ?? []), db, processFolder(db)];
      return await rebuildRemotely(await connect(true), { ...request, own }, watcher);
    },
  };
}

/**
 * Waits until the index process reads no disk for a rebuild that was stopped, or whose command was killed. False if it still does
 * at the abort of `signal`. Starts no process.
 */
export async function stoppedRebuildsEnd(
  { db }: CollectionConfig,
  { signal, build }: Pick<OpenCollectionOptions, 'signal' | 'build'>,
): Promise<boolean> {
  const connection = await findProcess({ db, signal, build });
  return connection === undefined ? !signal.aborted : await noneStops(connection, signal);
}
