/** Starts the index process of a database, and waits until some index process serves it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { AutotorrentError, messageOf } from '../../../errors.ts';
import type { Logger } from '../../../logger.ts';
import { openPrivateLog } from '../../../state/private-log.ts';
import { LOG } from '../wire/names.ts';
import type { StartLine } from '../wire/start-line.ts';

export interface StartOptions {
  readonly db: string;
  readonly folder: string;
  /** Makes the database if there is none. */
  readonly create: boolean;
  readonly build: string;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** Bytes. A longer log is begun anew. */
const LOG_LIMIT = 1 << 20;

/**
 * The variables that the process inherits. It outlives the command and serves others, so it takes those that Node and the
 * loader of shared libraries read, and no secrets.
 */
const INHERITED = [
  'AUTOTORRENT_INDEX_IDLE_MS',
  'HOME',
  'LANG',
  'LC_ALL',
  'LD_LIBRARY_PATH',
  'NODE_OPTIONS',
  'NODE_V8_COVERAGE',
  'PATH',
  'TMPDIR',
  'TZ',
  'UV_THREADPOOL_SIZE',
];

/**
 * Resolves when this or another process serves the database.
 * @throws AutotorrentError('INDEX') with the reason if the database cannot be opened; the signal's reason
 */
export async function startProcess(options: StartOptions): Promise<void> {
  const { logger, signal, folder } = options;
  signal.throwIfAborted();
  const child = await spawnProcess(options);
  // The process goes on without this one: nothing here may keep this one alive, or tie the other to it.
  child.unref();
  const lines = child.stdio[3] as Readable;
  const stop = (): void => void lines.destroy();
  signal.addEventListener('abort', stop, { once: true });
  try {
    for await (const line of linesOf(lines)) {
      if ('ready' in line) return;
      if ('waiting' in line) {
        logger.info(`waiting for the collection index, which ${line.waiting} uses`);
        continue;
      }
      const { code, message, hint, cause } = line.error;
      throw new AutotorrentError(code, message, { hint, ...(cause === undefined ? {} : { cause: new Error(cause) }) });
    }
    signal.throwIfAborted();
    throw new AutotorrentError('INDEX', 'the index process ended before it served', {
      hint: `its log says why: ${join(folder, LOG)}`,
    });
  } finally {
    signal.removeEventListener('abort', stop);
    lines.destroy();
  }
}

async function spawnProcess({ db, folder, create, build }: StartOptions): Promise<ChildProcess> {
  const program = fileURLToPath(new URL('../owner/index-process.js', import.meta.url));
  let log: FileHandle | undefined;
  try {
    log = await openPrivateLog(join(folder, LOG), 'INDEX');
    if ((await log.stat()).size > LOG_LIMIT) await log.truncate();
    const args = [program, db, folder, build, ...(create ? ['create'] : [])];
    // The kernel closes all other descriptors: Node opens its own, and marks those it was given, as close-on-exec.
    const child = spawn(process.execPath, args, {
      cwd: '/',
      env: Object.fromEntries(INHERITED.flatMap((name) => (name in process.env ? [[name, process.env[name]]] : []))),
      detached: true,
      stdio: ['ignore', log.fd, log.fd, 'pipe'],
    });
    await Promise.race([once(child, 'spawn'), once(child, 'error').then(([error]) => Promise.reject(error))]);
    return child;
  } catch (cause) {
    if (cause instanceof AutotorrentError) throw cause;
    throw new AutotorrentError('INDEX', `the index process cannot be started: ${messageOf(cause)}`, { cause });
  } finally {
    await log?.close();
  }
}

async function* linesOf(stream: Readable): AsyncGenerator<StartLine> {
  let text = '';
  try {
    for await (const chunk of stream) {
      text += String(chunk);
      const lines = text.split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) yield JSON.parse(line) as StartLine;
    }
  } catch {
    // Destroyed, because the command was asked to stop.
  }
}
