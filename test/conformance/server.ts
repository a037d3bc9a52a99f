/** The test's side of `serve.ts`. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Plan } from '../../src/plan/plan.ts';
import type { RemapTo, Reply, Request, ServeOptions, ServerStatus } from './messages.ts';

export class Server {
  readonly #child: ChildProcess;
  readonly #waiting: ((reply: Reply) => void)[] = [];
  readonly #ended: Promise<unknown>;
  /** Its standard error so far. */
  log = '';

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#ended = once(child, 'exit');
    // As a string: the listener of the typed event takes anything.
    child.on('message' as string, (reply: Reply) => this.#waiting.shift()?.(reply));
    child.on('exit', () => {
      for (const waiting of this.#waiting) waiting({ failed: 'the server has ended' });
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.log += text;
    });
  }

  /** Rejects with the server's message if it cannot mount. */
  static async start(options: ServeOptions): Promise<Server> {
    const child = fork(fileURLToPath(new URL('serve.js', import.meta.url)), {
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    });
    const server = new Server(child);
    try {
      await server.#send(options);
    } catch (error) {
      await server.#ended;
      throw error;
    }
    return server;
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  async #send(message: Request | ServeOptions): Promise<ServerStatus | undefined> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) throw new Error('the server has ended');
    const reply = await new Promise<Reply>((resolve) => {
      this.#waiting.push(resolve);
      this.#child.send(message);
    });
    if ('failed' in reply) throw new Error(reply.failed);
    return reply.status;
  }

  async create(plan: Plan): Promise<void> {
    await this.#send({ do: 'create', plan });
  }

  async addNames(infoHash: string, names: readonly (readonly string[] | undefined)[]): Promise<void> {
    await this.#send({ do: 'addNames', infoHash, names });
  }

  async remap(infoHash: string, index: number, remap: RemapTo): Promise<void> {
    await this.#send({ do: 'remap', infoHash, index, remap });
  }

  async remove(infoHash: string): Promise<void> {
    await this.#send({ do: 'remove', infoHash });
  }

  async status(): Promise<ServerStatus> {
    const status = await this.#send({ do: 'status' });
    if (status === undefined) throw new Error('the server answered without a status');
    return status;
  }

  /** The exit code, or the signal that ended it. */
  async ended(): Promise<number | string | null> {
    await this.#ended;
    return this.#child.exitCode ?? this.#child.signalCode;
  }

  async unmount(): Promise<number | string | null> {
    await this.#send({ do: 'unmount' });
    return await this.ended();
  }

  async signal(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | string | null> {
    this.#child.kill(signal);
    return await this.ended();
  }

  /** Ends it in any state: for an after hook. */
  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await this.signal('SIGTERM');
  }
}
