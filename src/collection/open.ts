/** Opens the collection of a configuration. Callers do not see who keeps it: the index process of its `db`. */
import type { Logger } from '../logger.ts';
import type { Collection } from './collection.ts';
import { type Connection, connectToProcess } from './process/client/connection.ts';
import { processFolder } from './process/client/folder.ts';
import { openRemoteIndex } from './process/client/remote-index.ts';
import { rebuildRemotely } from './process/client/remote-rebuild.ts';

export interface CollectionConfig {
  /** The index: a LevelDB folder. */
  readonly db: string;
}

export interface OpenCollectionOptions {
  readonly logger: Logger;
  /** Ends waits, and keeps a process from being started. */
  readonly signal: AbortSignal;
  /** Default: this program's. */
  readonly build?: string;
}

/** Opens nothing yet: the index and the writer do, when they are asked for. */
export function openCollection({ db }: CollectionConfig, options: OpenCollectionOptions): Collection {
  const connect = (create: boolean): Promise<Connection> => connectToProcess({ ...options, db, create });
  return {
    openIndex: () => openRemoteIndex(() => connect(false)),
    async rebuild(request, watcher = {}) {
      // Where the index itself lies on a disk, it is none of the user's files.
      const own = [...(request.own ?? []), db, processFolder(db)];
      return await rebuildRemotely(await connect(true), { ...request, own }, watcher);
    },
  };
}
