/** A program that a test starts and ends by itself: started in the foreground, ended by its pid, never left behind. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Daemon {
  readonly pid: number;
  /** What it wrote to standard output and standard error so far (the last 64 KiB). */
  output(): string;
  /** Ends it and waits for that: the signal first, SIGKILL after ten seconds. May be called twice. */
  stop(signal?: NodeJS.Signals): Promise<void>;
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
    async stop(signal = 'SIGTERM') {
      if (exit !== undefined) return;
      child.kill(signal);
      const limit = setTimeout(() => child.kill('SIGKILL'), 10_000);
      await ended;
      clearTimeout(limit);
    },
  };
}

/** Asks `probe` every 50 ms until it neither throws nor gives false; fails after `limitMs`, or when `daemon` ended. */
export async function waitUntil(
  what: string,
  probe: () => Promise<boolean>,
  options: { readonly limitMs?: number; readonly daemon?: Daemon } = {},
): Promise<void> {
  const { limitMs = 20_000, daemon } = options;
  const end = performance.now() + limitMs;
  let last: unknown;
  for (;;) {
    try {
      if (await probe()) return;
    } catch (error) {
      last = error;
    }
    const exit = daemon?.exited();
    if (exit !== undefined) throw new Error(`${what}: ${exit}\n${daemon?.output()}`, { cause: last });
    if (performance.now() > end) throw new Error(`${what}: not within ${limitMs} ms`, { cause: last });
    await sleep(50);
  }
}

/** A tcp port of `address` that nothing listens on. */
export async function freePort(address = '127.0.0.1'): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, address, resolve);
  });
  const bound = server.address();
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  if (bound === null || typeof bound === 'string') throw new Error('no port');
  return bound.port;
}
