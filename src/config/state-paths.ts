/** The paths of a store's state and of its control socket. */
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The sun_path of sockaddr_un holds 108 bytes with its NUL (unix(7)). */
const SOCKET_PATH_LIMIT = 107;

export interface StatePaths {
  /** The store's LevelDB; its lock is the store's lock. */
  readonly store: string;
  readonly socket: string;
  /** The log of a server that was started with `--daemon`. */
  readonly log: string;
  /** The record of what the next mount must do in clients. */
  readonly absence: string;
}

/**
 * Computes the paths. The socket lies with the state. If that path is too long for a socket, it lies in
 * `$XDG_RUNTIME_DIR` (or a folder of the user's own below the system's temporary one) under a name derived from it.
 */
export function statePaths(statePath: string, env: NodeJS.ProcessEnv = process.env): StatePaths {
  const beside = join(statePath, 'socket');
  const runtime = env['XDG_RUNTIME_DIR'] ?? join(tmpdir(), `autotorrent-${process.getuid?.() ?? 0}`);
  const digest = createHash('sha256').update(statePath).digest('hex').slice(0, 16);
  const socket = Buffer.byteLength(beside) <= SOCKET_PATH_LIMIT ? beside : join(runtime, `autotorrent-${digest}.sock`);
  return {
    store: join(statePath, 'store'),
    socket,
    log: join(statePath, 'server.log'),
    absence: join(statePath, 'absence.json'),
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
