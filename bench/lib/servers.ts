/** The processes that serve mounts to a suite: however the suite ends, no mount is left. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { unmountLeftovers } from './leftover-mounts.ts';
import { inFolder } from './setting.ts';

const SCRIPTS = {
  /** Shows one of our state folders, by driver fuse-native. */
  ours: ['store-server.js', 'fuse-native'],
  /** The same, by driver kernel, with leases on sources; `workers`: without passthrough. */
  kernel: ['store-server.js', 'kernel', 'auto'],
  workers: ['store-server.js', 'kernel', 'off'],
  /** Shows any folder. */
  passthrough: ['../references/passthrough-server.js'],
} as const;

export class Servers {
  readonly #running = new Set<ChildProcess>();
  readonly #mountPoints = new Set<string>();

  /** Mounts `folder` at `mountPoint`, and waits until it is mounted. */
  async start(kind: keyof typeof SCRIPTS, folder: string, mountPoint: string): Promise<ChildProcess> {
    const [name, ...options] = SCRIPTS[kind];
    const script = fileURLToPath(new URL(name, import.meta.url));
    const server = fork(script, [folder, mountPoint, ...options], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      // As `src/start.cts` gives it to a server.
      env: { ...process.env, UV_THREADPOOL_SIZE: '64' },
    });
    this.#running.add(server);
    this.#mountPoints.add(mountPoint);
    await new Promise<void>((resolve, reject) => {
      server.once('message', () => resolve());
      server.once('exit', () => reject(new Error(`${script} could not mount`)));
    });
    return server;
  }

  /** Tells our server whether to look at a source after each read, and waits until it knows. */
  async setLooking(server: ChildProcess, looks: boolean): Promise<void> {
    const known = once(server, 'message');
    server.send(looks ? 'looked' : 'unlooked');
    await known;
  }

  /** Ends a server: SIGTERM in order; SIGKILL leaves its mount behind. */
  async stop(server: ChildProcess, signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    this.#running.delete(server);
    if (server.exitCode !== null || server.signalCode !== null) return;
    server.kill(signal);
    await once(server, 'exit');
  }

  async stopAll(): Promise<void> {
    for (const server of this.#running) await this.stop(server);
    await unmountLeftovers(this.#mountPoints);
  }
}

/** Gives `work` a folder and servers; both are gone afterwards. */
export async function withServers<T>(work: (base: string, servers: Servers) => Promise<T>): Promise<T> {
  return await inFolder(async (base) => {
    const servers = new Servers();
    try {
      return await work(base, servers);
    } finally {
      await servers.stopAll();
    }
  });
}
