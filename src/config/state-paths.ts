/** The paths of a store's state and of its control socket. */
import { join } from 'node:path';

export interface StatePaths {
  /** The store's LevelDB; its lock is the store's lock. */
  readonly store: string;
  /** Always here, however long the path is (`state/socket-address.ts`). */
  readonly socket: string;
  /** The log of a server that was started with `--daemon`. */
  readonly log: string;
  /** The record of what the next mount must do in clients. */
  readonly absence: string;
  /** The record of repairs that are under way, and of what they spent. */
  readonly repair: string;
  /** What clients are known by: the certificates of Deluge daemons, the users of other clients of this machine. */
  readonly knownDaemons: string;
}

/** Computes the paths. */
export function statePaths(statePath: string): StatePaths {
  return {
    store: join(statePath, 'store'),
    socket: join(statePath, 'socket'),
    log: join(statePath, 'server.log'),
    absence: join(statePath, 'absence.json'),
    repair: join(statePath, 'repair.json'),
    knownDaemons: join(statePath, 'known_daemons'),
  };
}

/** The cache of piece digests, beside the index; it may be deleted at any time. */
export function hashCachePath(db: string): string {
  return `${db}.hashes`;
}

/**
 * The folder of files that clients completed, beside the index that has them as sources; all stores of the index share
 * it.
 */
export function poolPath(db: string): string {
  return `${db}.pool`;
}

/** All that lies beside the index; `state_path`, too, where the configuration does not name it. */
export function besideIndex(db: string): string[] {
  return [`${db}.process`, `${db}.folders`, `${db}.state`, hashCachePath(db), poolPath(db)];
}
