/** `autotorrent mount --daemon`: the same server in a process of its own, detached once it serves. */
import { spawn } from 'node:child_process';
import { open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Config } from '../config/config.ts';
import { statePaths } from '../config/state-paths.ts';
import { AutotorrentError } from '../errors.ts';
import { makeFolder } from '../leveldb/open.ts';

export interface Daemon {
  readonly pid: number;
  /** Where it logs. */
  readonly log: string;
}

/**
 * Starts `program` with `args`, which must end in a `runMount`; resolves when it says that it serves.
 * @throws AutotorrentError('MOUNT') with what it logged, where it ends before
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
      child.once('message', () => resolve());
      child.once('error', reject);
      child.once('exit', () => {
        readFile(log)
          .then((text) => reject(endedEarly(text.subarray(size).toString('utf8'))))
          .catch(reject);
      });
    });
    child.disconnect();
    child.unref();
    return { pid: child.pid ?? 0, log };
  } finally {
    await file.close();
  }
}

/** Called by a server that serves: whoever started it as a daemon waits for this. */
export function tellStarter(): void {
  if (process.send === undefined) return;
  process.send('serving', () => process.disconnect());
}

function endedEarly(logged: string): AutotorrentError {
  const lines = logged
    .trim()
    .split('\n')
    .map((line) => line.replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z /, ''));
  const at = lines.findIndex((line) => line.startsWith('error: '));
  const message = (at < 0 ? lines.at(-1) : lines[at]?.slice('error: '.length)) ?? '';
  // What stands indented behind it is what to do about it.
  const hint = at < 0 ? undefined : /^ {2}(?! )(.*)/.exec(lines[at + 1] ?? '')?.[1];
  return new AutotorrentError('MOUNT', message || 'the server ended before it served', { hint });
}
