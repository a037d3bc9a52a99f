/** Runs a program for a test: starts it in the foreground, ends it by its pid, and never leaves it behind. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Only a hanging program takes longer: even on a busy machine others end well before. A server gives clients a minute to stop
 * their torrents, and then unmounts.
 */
const PATIENCE_MS = 180_000;

export interface Daemon {
  readonly pid: number;
  /** Its standard output and standard error so far (the last 64 KiB). */
  output(): string;
  /**
   * Ends it, and waits for its end. If it does not end within `patienceMs` it hangs: it is killed, and this throws. (A killed
   * server leaves its mount behind, a killed client its unwritten data.) May be called twice.
   */
  stop(signal?: NodeJS.Signals, patienceMs?: number): Promise<void>;
  /** Undefined while it runs. */
  exited(): string | undefined;
}

export async function startDaemon(
  command: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly env?: NodeJS.ProcessEnv },
): Promise<Daemon> {
  const child: ChildProcess = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, HOME: options.cwd, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const append = (chunk: Buffer): void => {
    output = (output + chunk.toString()).slice(-65_536);
  };
  child.stdout?.on('data', append);
  child.stderr?.on('data', append);
  let exit: string | undefined;
  const ended = new Promise<void>((resolve) => {
    child.once('exit', (code, signal) => {
      exit = `${command} ended with ${signal ?? code}`;
      resolve();
    });
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) => reject(new Error(`${command} cannot be started: is it installed?`, { cause })));
  });
  // A test that dies without its hooks must not leave the daemon behind.
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  void ended.then(() => process.removeListener('exit', kill));
  return {
    pid: child.pid ?? 0,
    output: () => output,
    exited: () => exit,
    async stop(signal = 'SIGTERM', patienceMs = PATIENCE_MS) {
      if (exit !== undefined) return;
      child.kill(signal);
      let hangs = false;
      const limit = setTimeout(() => {
        hangs = true;
        child.kill('SIGKILL');
      }, patienceMs);
      await ended;
      clearTimeout(limit);
      if (hangs) throw new Error(`${command} did not end within ${patienceMs} ms of ${signal}\n${output}`);
    },
  };
}

/** Milliseconds between the questions of `waitUntil`: as long as the last one took, within these. */
const PAUSE_MS = { least: 50, most: 1000 } as const;

/**
 * Asks `probe` until it is true. Fails after `limitMs` (default: a minute), or when `daemon` has ended.
 *
 * A probe that runs a command pauses for as long as that took: asked on and on, it would keep a core from what it waits for.
 */
export async function waitUntil(
  what: string,
  probe: () => Promise<boolean>,
  options: { readonly limitMs?: number; readonly daemon?: Daemon } = {},
): Promise<void> {
  const { limitMs = 60_000, daemon } = options;
  const end = performance.now() + limitMs;
  let last: unknown;
  for (;;) {
    const asked = performance.now();
    try {
      if (await probe()) return;
    } catch (error) {
      last = error;
    }
    const took = performance.now() - asked;
    const exit = daemon?.exited();
    if (exit !== undefined) throw new Error(`${what}: ${exit}\n${daemon?.output()}`, { cause: last });
    if (performance.now() > end) throw new Error(`${what}: not within ${limitMs} ms`, { cause: last });
    await sleep(Math.min(PAUSE_MS.most, Math.max(PAUSE_MS.least, took)));
  }
}

/** Ports below those that the kernel gives to connections by itself (32768 and up, ip_local_port_range). */
const FIRST_PORT = 10_000;
const LAST_PORT = 32_767;
/** Each test file has a process of its own, and files run side by side: each begins at a port of its own. */
const PORTS_OF_A_PROCESS = 64;
let asked = 0;

/** Gives a tcp port of `address` on which nothing listens, and which no other call gave, here or in another test file. */
export async function freePort(address = '127.0.0.1'): Promise<number> {
  const count = LAST_PORT - FIRST_PORT + 1;
  for (let tries = 0; tries < count; tries++) {
    const port = FIRST_PORT + ((process.pid * PORTS_OF_A_PROCESS + asked++) % count);
    if (await isFree(address, port)) return port;
  }
  throw new Error(`no port of ${address} is free`);
}

function isFree(address: string, port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false);
      else reject(error);
    });
    server.listen(port, address, () => server.close(() => resolve(true)));
  });
}
