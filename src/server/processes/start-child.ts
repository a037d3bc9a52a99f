/** Starts a child of the server: a process of its own that hashes, or talks to clients. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';

export interface ChildOptions {
  /** Node's arguments. */
  readonly args: readonly string[];
  /**
   * Called before the start. The child must not inherit `/dev/fuse`, which would keep the mount of a killed server half
   * alive, nor the store's files.
   */
  readonly keepDescriptors: () => void;
  /** Keeps the child out of the terminal's process group: Ctrl-C goes to the server, which decides about the child. */
  readonly detached?: boolean;
  /** Variables that the child has besides those of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Gives the child a pipe to read from. It ends with this process, however that ends. */
  readonly stdin?: 'pipe';
}

export interface Child {
  readonly child: ChildProcessByStdio<Writable | null, Readable, Readable>;
  /** Returns the end of what the child wrote to standard error. */
  readonly said: () => string;
}

const running = new Set<Child['child']>();

/** Lists the children that have not ended. */
export function runningChildren(): readonly Child['child'][] {
  return [...running];
}

/** @throws Error if this process is out of descriptors; other failures come as the child's `error` event */
export function startChild({ args, keepDescriptors, detached = false, env: more, stdin }: ChildOptions): Child {
  keepDescriptors();
  const env = { ...process.env, ...more };
  const child: Child['child'] =
    stdin === 'pipe'
      ? spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'], detached, env })
      : spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], detached, env });
  // Without descriptors for the pipes there is no child, and Node makes no streams (although its types say so).
  if ((child.stderr as Readable | undefined) === undefined) {
    child.on('error', () => {});
    throw new Error('no process could be started: no file descriptors are left');
  }
  running.add(child);
  child.once('close', () => running.delete(child));
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4096);
  });
  return { child, said: () => said.trim() };
}
