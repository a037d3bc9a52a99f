/** Opens a LevelDB folder: waits for its lock, names the process that holds it, and explains errors. */
import { access, constants, readdir, readFile, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Level } from 'level';
import { AutotorrentError, errnoOf, messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { type Described, isMissing, keepDatabasePrivate, missingDatabase } from './folder.ts';

export type Database = Level<Buffer, Buffer>;

/** Another process holds the lock: LevelDB belongs to one process at a time. */
export class DatabaseLocked extends AutotorrentError {
  /** The process that holds it, for a sentence: `process 12 (node …)`. */
  readonly holder: string;

  constructor(location: string, { code, what }: Described, holder: string, cause?: unknown) {
    super(code, `${what} (${location}) is in use by ${holder}`, { cause, hint: 'wait until it has ended, or stop it' });
    this.name = 'DatabaseLocked';
    this.holder = holder;
  }
}

export interface OpenOptions extends Described {
  readonly create: boolean;
  /** Milliseconds to wait for the lock. */
  readonly waitMs: number;
  /** Called once, when waiting begins. */
  readonly onWait?: (holder: string) => void;
  readonly signal?: AbortSignal;
  /** Hears if the folder was open to other users. */
  readonly logger?: Logger;
}

const POLL_MS = 100;

/**
 * Opens the LevelDB in the folder `location`, which is made or kept private.
 * @throws DatabaseLocked if another process holds it for longer than `waitMs`
 * @throws AutotorrentError of `code` if the folder is missing (and `create` is false), damaged or not accessible to this user,
 *   or where what LevelDB would open is no regular file
 */
export async function openLevel(location: string, options: OpenOptions): Promise<Database> {
  keepDatabasePrivate(location, options, options.create, options.logger);
  await refuseStrangeFiles(location, options);
  const started = Date.now();
  let told = false;
  for (;;) {
    const db: Database = new Level<Buffer, Buffer>(location, {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      createIfMissing: options.create,
    });
    try {
      await db.open();
      return db;
    } catch (error) {
      const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
      if (errnoOf(cause) !== 'LEVEL_LOCKED') throw await openError(location, options, cause);
      const holder = await lockHolder(location);
      if (Date.now() - started >= options.waitMs) throw new DatabaseLocked(location, options, holder, cause);
      if (!told) options.onWait?.(holder);
      told = true;
      await sleep(POLL_MS, undefined, { signal: options.signal });
    }
  }
}

/** The names that LevelDB opens. */
const OWN_NAMES = /^(?:CURRENT|LOCK|LOG|LOG\.old|MANIFEST-\d+|\d+\.(?:log|ldb|sst|dbtmp))$/;

/** LevelDB waits at a FIFO for ever, and writes through a symlink, in a thread that nothing can stop. */
async function refuseStrangeFiles(location: string, { code, what }: OpenOptions): Promise<void> {
  // Opening it reports why it cannot be listed.
  const files = await readdir(location, { withFileTypes: true }).catch(() => []);
  const strange = files.find((file) => OWN_NAMES.test(file.name) && !file.isFile());
  if (strange === undefined) return;
  throw new AutotorrentError(code, `${what} (${location}) is not opened: ${strange.name} in it is no regular file`, {
    hint: 'LevelDB made none: see who may write to this folder, and move it away',
  });
}

async function openError(location: string, options: OpenOptions, cause: unknown): Promise<AutotorrentError> {
  const { code, what } = options;
  const message = messageOf(cause);
  const obstacle = await obstacleTo(location);
  if (obstacle !== undefined) {
    const { problem, hint } = OBSTACLES[obstacle];
    return new AutotorrentError(code, `${what} (${location}) ${problem}: ${message}`, { cause, hint });
  }
  if (!options.create && (await isMissing(location))) return missingDatabase(location, options, cause);
  const hint = {
    INDEX: 'make it anew: move it away, then autotorrent rebuild',
    STORE: 'check the disk; nothing in it was changed',
  }[code];
  return new AutotorrentError(code, `${what} (${location}) cannot be opened: ${message}`, { cause, hint });
}

const OBSTACLES = {
  refused: { problem: 'may not be used by this user', hint: 'run this as the user it belongs to' },
  'read-only': {
    problem: 'lies on a read-only file system',
    hint: 'LevelDB writes whenever it opens a database: move it to a file system that can be written to',
  },
  full: { problem: 'lies on a full disk', hint: 'make room there, and run this again' },
} as const;

/** Bytes that LevelDB may write when it opens a database: what its log holds goes to a table. */
const OPENING_WRITES = 4 << 20;

/** Finds out what keeps LevelDB from opening a sound database: the modes of what it opens first, or the disk. */
async function obstacleTo(location: string): Promise<keyof typeof OBSTACLES | undefined> {
  for (const path of [location, join(location, 'LOCK'), join(location, 'CURRENT')]) {
    try {
      await access(path, constants.R_OK | constants.W_OK);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === 'EACCES' || errno === 'EPERM') return 'refused';
      if (errno === 'EROFS') return 'read-only';
    }
  }
  const disk = await statfs(location).catch(() => undefined);
  return disk !== undefined && disk.bavail * disk.bsize < OPENING_WRITES ? 'full' : undefined;
}

/**
 * Finds the process that holds LevelDB's lock, in /proc/locks
 * (proc(5): `1: POSIX ADVISORY WRITE pid major:minor:inode start end`).
 */
async function lockHolder(location: string): Promise<string> {
  try {
    const { ino } = await stat(join(location, 'LOCK'));
    const locks = await readFile('/proc/locks', 'utf8');
    for (const line of locks.split('\n')) {
      const fields = line.trim().split(/\s+/);
      if (!(fields[5] ?? '').endsWith(`:${ino}`)) continue;
      const pid = Number(fields[4]);
      if (pid === process.pid) return 'this process';
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      const shown = command.split('\0').filter(Boolean).slice(0, 6).join(' ');
      return `process ${pid}${shown === '' ? '' : ` (${shown})`}`;
    }
  } catch {
    // /proc is missing, or the process has ended: the sentence is true without a name.
  }
  return 'another process';
}
