/** Work that the server leaves to a process of its own: to hash, or to talk to clients. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';

export interface OwnProcessOptions {
  /** Node's arguments. */
  readonly args: readonly string[];
  /**
   * Called before it is started: it must not inherit `/dev/fuse`, which would keep the mount of a killed server half
   * alive, nor the store's files.
   */
  readonly keepDescriptors: () => void;
  /** Apart from the terminal's process group: Ctrl-C is for the server, which decides what becomes of it. */
  readonly detached?: boolean;
}

export interface OwnProcess {
  readonly child: ChildProcessByStdio<null, Readable, Readable>;
  /** The end of what it wrote to standard error. */
  readonly said: () => string;
}

export function startOwnProcess({ args, keepDescriptors, detached = false }: OwnProcessOptions): OwnProcess {
  keepDescriptors();
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], detached });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4096);
  });
  return { child, said: () => said.trim() };
}
