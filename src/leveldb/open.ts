/** Opens LevelDB folders, and says who holds one that is locked: LevelDB is one process at a time. */
import { mkdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Level } from 'level';
import type { Config } from '../config/config.ts';
import { AutotorrentError, type ErrorCode, errnoOf, messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';

export type Database = Level<Buffer, Buffer>;

export interface OpenOptions {
  /** The error code of what cannot be opened. */
  readonly code: Extract<ErrorCode, 'INDEX' | 'STORE'>;
  /** What it is, in messages: `the collection index`. */
  readonly what: string;
  readonly create: boolean;
  /** How long a lock is waited for. */
  readonly waitMs: number;
  /** Told once, when waiting begins. */
  readonly onWait?: (holder: string) => void;
  readonly signal?: AbortSignal;
}

const POLL_MS = 100;
/** Another command that uses the index is waited for so long. */
const INDEX_WAIT_MS = 60_000;

/** The collection index of a configuration. @throws AutotorrentError('INDEX') */
export async function openIndexDatabase(
  config: Config,
  { create, logger, signal }: { readonly create: boolean; readonly logger: Logger; readonly signal: AbortSignal },
): Promise<Database> {
  return openLevel(config.db, {
    code: 'INDEX',
    what: 'the collection index',
    create,
    waitMs: INDEX_WAIT_MS,
    signal,
    onWait: (holder) => logger.info(`waiting for the collection index, which ${holder} uses`),
  });
}

/**
 * @throws AutotorrentError of `code` where the folder is missing (and `create` is false), locked for longer than
 * `waitMs`, or damaged
 */
export async function openLevel(location: string, options: OpenOptions): Promise<Database> {
  if (options.create) await makeFolder(location, options);
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
      if (errnoOf(cause) !== 'LEVEL_LOCKED') throw openError(location, options, cause);
      const holder = await lockHolder(location);
      if (Date.now() - started >= options.waitMs) {
        throw new AutotorrentError(options.code, `${options.what} (${location}) is in use by ${holder}`, {
          cause,
          hint: 'wait until it has ended, or stop it',
        });
      }
      if (!told) options.onWait?.(holder);
      told = true;
      await sleep(POLL_MS, undefined, { signal: options.signal });
    }
  }
}

/** Makes the folder and those above it. Throws AutotorrentError of the options' code. */
export async function makeFolder(path: string, { code, what }: Pick<OpenOptions, 'code' | 'what'>): Promise<void> {
  try {
    await makeWithParents(path);
  } catch (cause) {
    const key = code === 'INDEX' ? 'db' : 'state_path';
    throw new AutotorrentError(code, `${what} cannot be made: ${messageOf(cause)}`, {
      cause,
      hint: `set ${key} to a folder that this user may write to`,
    });
  }
}

/** Node's own `recursive` never ends below /proc, where mkdir answers ENOENT although the folder above is there. */
async function makeWithParents(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    if (errnoOf(error) === 'EEXIST' && (await stat(path)).isDirectory()) return;
    if (errnoOf(error) !== 'ENOENT' || dirname(path) === path) throw error;
    if (await exists(dirname(path))) throw error;
    await makeWithParents(dirname(path));
    await mkdir(path);
  }
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

function openError(location: string, options: OpenOptions, cause: unknown): AutotorrentError {
  const message = messageOf(cause);
  if (/Permission denied/.test(message)) {
    return new AutotorrentError(
      options.code,
      `${options.what} (${location}) may not be used by this user: ${message}`,
      {
        cause,
        hint: 'run this as the user it belongs to',
      },
    );
  }
  const missing = /does not exist/.test(message);
  const why = missing ? 'does not exist yet' : `cannot be opened: ${message}`;
  const hint = {
    INDEX: missing ? 'make it: autotorrent rebuild' : 'make it anew: move it away, then autotorrent rebuild',
    STORE: missing ? 'start the server: autotorrent mount' : 'check the disk; nothing in it was changed',
  }[options.code];
  return new AutotorrentError(options.code, `${options.what} (${location}) ${why}`, { cause, hint });
}

/** Who holds LevelDB's lock, by /proc/locks (proc(5): `1: POSIX ADVISORY WRITE pid major:minor:inode start end`). */
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
    // Not Linux, or it ended in between: the sentence is true without a name.
  }
  return 'another process';
}
