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
  /** The child opens users' files: it is ended when a disk is released. */
  readonly readsSources?: boolean;
  /** Gives the child a pipe to read from. It ends with this process, however that ends. */
  readonly stdin?: 'pipe';
}

export interface Child {
  readonly child: ChildProcessByStdio<Writable | null, Readable, Readable>;
  /** Returns the end of what the child wrote to standard error. */
  readonly said: () => string;
  /** True: it was ended since a disk was released. */
  readonly wasEnded: () => boolean;
}

/** The children that open users' files and have not ended; each is ended by calling its function. */
const readers = new Map<Child['child'], () => void>();

/** Ends the children that open users' files. What they do is done again later, as after a crash. */
export function endSourceReaders(): readonly Child['child'][] {
  for (const end of readers.values()) end();
  return [...readers.keys()];
}

/** Tells if a child has not ended: one that waits for a file system does not end before that answers. */
export function isRunning(child: Child['child']): boolean {
  return readers.has(child);
}

/** @throws Error if this process is out of descriptors; other failures come as the child's `error` event */
export function startChild(options: ChildOptions): Child {
  const { args, keepDescriptors, detached = false, env: more, stdin, readsSources = false } = options;
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
  let wasEnded = false;
  if (readsSources) {
    readers.set(child, () => {
      wasEnded = true;
      child.kill('SIGKILL');
    });
    child.once('close', () => readers.delete(child));
  }
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4096);
  });
  return { child, said: () => (wasEnded ? 'a disk was released' : said.trim()), wasEnded: () => wasEnded };
}
