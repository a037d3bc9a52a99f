/** `autotorrent mount --daemon`: runs the same server in a detached process of its own. */
import { spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import type { Config } from '../config/config.ts';
import { statePaths } from '../config/state-paths.ts';
import { AutotorrentError, type ErrorCode } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { openPrivateLog } from '../state/private-log.ts';
import { keepStatePrivate } from '../state/state-folder.ts';

export interface Daemon {
  readonly pid: number;
  /** Its log file. */
  readonly log: string;
}

/** Bytes of the log that hold its last line. */
const LAST_BYTES = 16_384;

/** The one message of a server to the command that started it, over the channel between them. */
type FirstWord =
  | { readonly serving: true }
  | { readonly failed: { readonly code: ErrorCode; readonly message: string; readonly hint?: string } };

/**
 * Starts `program` with `args`, which must end in a `runMount`; resolves when it reports that it serves.
 * @throws AutotorrentError as the server threw it; ('MOUNT') with the end of its log if it ended without a message
 */
export async function startDaemon(
  config: Config,
  program: string,
  args: readonly string[],
  logger: Logger,
): Promise<Daemon> {
  const { log } = statePaths(config.statePath);
  keepStatePrivate(config.statePath, logger);
  const file = await openPrivateLog(log, 'STORE');
  try {
    const { size } = await file.stat();
    const child = spawn(process.execPath, [program, ...args], {
      detached: true,
      stdio: ['ignore', file.fd, file.fd, 'ipc'],
    });
    await new Promise<void>((resolve, reject) => {
      child.once('message', (word: FirstWord) => {
        if ('serving' in word) resolve();
        else reject(new AutotorrentError(word.failed.code, word.failed.message, { hint: word.failed.hint }));
      });
      child.once('error', reject);
      // Comes after every message of the server, also if it ended.
      child.once('disconnect', () => {
        endOf(log, size)
          .then((text) => reject(endedSilently(text)))
          .catch(reject);
      });
    });
    if (child.connected) child.disconnect();
    child.unref();
    return { pid: child.pid ?? 0, log };
  } finally {
    await file.close();
  }
}

/** Reports to the command that started this server as a daemon that it serves now. */
export function tellStarter(): void {
  if (process.send === undefined) return;
  process.send({ serving: true } satisfies FirstWord, () => process.disconnect());
}

/** Reports a failure to the command that started this server; nobody hears it once the server has served. */
export async function tellStarterOfFailure(error: unknown): Promise<void> {
  if (process.send === undefined || !process.connected || !(error instanceof AutotorrentError)) return;
  const { code, message, hint } = error;
  const failed: FirstWord = { failed: { code, message, ...(hint === undefined ? {} : { hint }) } };
  await new Promise<void>((resolve) => {
    process.send?.(failed, () => resolve());
  });
}

/** Gives the end of what was written to the log after its first `size` bytes. */
async function endOf(log: string, size: number): Promise<string> {
  const file = await open(log, 'r');
  try {
    const { size: end } = await file.stat();
    const from = Math.max(size, end - LAST_BYTES);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(Math.max(0, end - from)), 0, null, from);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}

function endedSilently(logged: string): AutotorrentError {
  const last = logged.trim().split('\n').at(-1) ?? '';
  return new AutotorrentError(
    'MOUNT',
    last === '' ? 'the server ended before it was ready' : `the server ended: ${last}`,
  );
}
