/** `autotorrent mount --daemon`: the same server in a process of its own, detached once it serves. */
import { spawn } from 'node:child_process';
import { open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Config } from '../config/config.ts';
import { statePaths } from '../config/state-paths.ts';
import { AutotorrentError, type ErrorCode } from '../errors.ts';
import { makeFolder } from '../leveldb/folder.ts';

export interface Daemon {
  readonly pid: number;
  /** Its log file. */
  readonly log: string;
}

/** What a server says to the command that started it, once, over the channel between them. */
type FirstWord =
  | { readonly serving: true }
  | { readonly failed: { readonly code: ErrorCode; readonly message: string; readonly hint?: string } };

/**
 * Starts `program` with `args`, which must end in a `runMount`; resolves when it says that it serves.
 * @throws AutotorrentError as the server threw it; ('MOUNT') with the end of its log, where it ended without a word
 */
export async function startDaemon(config: Config, program: string, args: readonly string[]): Promise<Daemon> {
  const { log } = statePaths(config.statePath);
  await makeFolder(dirname(log), { code: 'STORE', what: 'the state folder' });
  const file = await open(log, 'a', 0o600);
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
      // Comes after all that the server said, also where it ended.
      child.once('disconnect', () => {
        readFile(log)
          .then((text) => reject(endedSilently(text.subarray(size).toString('utf8'))))
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

/** Called by a server that serves: whoever started it as a daemon waits for this. */
export function tellStarter(): void {
  if (process.send === undefined) return;
  process.send({ serving: true } satisfies FirstWord, () => process.disconnect());
}

/** Called by a server that failed; nobody hears it once it has served. */
export async function tellStarterOfFailure(error: unknown): Promise<void> {
  if (process.send === undefined || !process.connected || !(error instanceof AutotorrentError)) return;
  const { code, message, hint } = error;
  const failed: FirstWord = { failed: { code, message, ...(hint === undefined ? {} : { hint }) } };
  await new Promise<void>((resolve) => {
    process.send?.(failed, () => resolve());
  });
}

function endedSilently(logged: string): AutotorrentError {
  const last = logged.trim().split('\n').at(-1) ?? '';
  return new AutotorrentError('MOUNT', last === '' ? 'the server ended before it served' : `the server ended: ${last}`);
}
