/** A folder that `worker.py` works on: an ordinary one, which is the reference, or a mount. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Observed } from './operation.ts';
import type { Outcome, Request, Stat, Target, TreeEntry } from './target.ts';

/** Longer than any one operation takes: an operation beyond it hangs. */
const HANGS_AFTER_MS = 60_000;
/** The path from dist/test/stress to the source, which the compiler does not copy. */
const WORKER = fileURLToPath(new URL('../../../test/stress/worker.py', import.meta.url));

type Encoded<T extends Stat> = Omit<T, 'mtime' | 'ctime'> & { readonly mtime: string; readonly ctime: string };

interface Reply {
  readonly failed?: string;
  readonly error?: string;
  readonly value?: unknown;
  readonly identical?: boolean;
  readonly before?: readonly (Encoded<Stat> | null)[];
  readonly after?: readonly (Encoded<Stat> | null)[];
  readonly started?: string;
}

interface Waiting {
  readonly resolve: (reply: { reply: Reply; bytes: Buffer }) => void;
  readonly reject: (error: Error) => void;
}

const decode = <T extends Stat>(stat: Encoded<T>): T =>
  ({ ...stat, mtime: BigInt(stat.mtime), ctime: BigInt(stat.ctime) }) as unknown as T;
const decodeOrNone = (stat: Encoded<Stat> | null): Stat | undefined => (stat === null ? undefined : decode(stat));

export class FolderTarget implements Target {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #isReference: boolean;
  #received: Buffer[] = [];
  #waiting: Waiting | undefined;
  /** Sends one message at a time, even if an earlier one was not awaited. */
  #turn: Promise<unknown> = Promise.resolve();
  #log = '';
  #death: Error | undefined;

  /** The reference also reports if the bytes of a write were there already. */
  constructor(name: string, options: { readonly isReference: boolean }) {
    this.name = name;
    this.#isReference = options.isReference;
    this.#child = spawn('python3', ['-u', WORKER], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#ended = once(this.#child, 'close');
    this.#child.stdout?.on('data', (chunk: Buffer) => this.#receive(chunk));
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#log += chunk.toString();
    });
    // When its standard error has been read, too.
    this.#child.on('close', (code, signal) => {
      this.#death = new Error(`the worker of ${name} ended (${code ?? signal}): ${this.#log}`);
      this.#waiting?.reject(this.#death);
    });
    // The exit of a dead worker is reported, not this error.
    this.#child.stdin?.on('error', () => {});
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  #receive(chunk: Buffer): void {
    this.#received.push(chunk);
    const all = this.#received.length === 1 ? chunk : Buffer.concat(this.#received);
    this.#received = [all];
    if (all.length < 8) return;
    const [text, bytes] = [all.readUInt32LE(0), all.readUInt32LE(4)];
    if (all.length < 8 + text + bytes) return;
    this.#received = [];
    this.#waiting?.resolve({
      reply: JSON.parse(all.subarray(8, 8 + text).toString()) as Reply,
      bytes: all.subarray(8 + text),
    });
  }

  async #ask(message: object, data: Buffer = Buffer.alloc(0)): Promise<{ reply: Reply; bytes: Buffer }> {
    const asking = this.#turn.then(async () => await this.#askNow(message, data));
    this.#turn = asking.catch(() => {});
    return await asking;
  }

  async #askNow(message: object, data: Buffer): Promise<{ reply: Reply; bytes: Buffer }> {
    if (this.#death !== undefined) throw this.#death;
    const text = Buffer.from(JSON.stringify(message));
    const head = Buffer.alloc(8);
    head.writeUInt32LE(text.length, 0);
    head.writeUInt32LE(data.length, 4);
    let timer: NodeJS.Timeout | undefined;
    try {
      const answer = await new Promise<{ reply: Reply; bytes: Buffer }>((resolve, reject) => {
        this.#waiting = { resolve, reject };
        timer = setTimeout(() => reject(new Error(`${this.name} hangs: ${text.toString()}`)), HANGS_AFTER_MS);
        this.#child.stdin?.write(Buffer.concat([head, text, data]));
      });
      if (answer.reply.failed !== undefined) throw new Error(`${this.name}: ${answer.reply.failed}`);
      return answer;
    } finally {
      clearTimeout(timer);
      this.#waiting = undefined;
    }
  }

  /** Closes all handles. Further operations happen in `root`. */
  async begin(root: string): Promise<void> {
    await this.#ask({ do: 'begin', root });
  }

  async run({ operation, data, observe }: Request): Promise<Outcome> {
    const asked = observe.map(({ target, fresh }) => [target, fresh && !this.#isReference]);
    const message = { ...operation, observe: asked, look: this.#isReference };
    const { reply, bytes } = await this.#ask(message, data);
    const { error, value, identical, before = [], after = [], started = '0' } = reply;
    const reads = (operation.do === 'read' || operation.do === 'mapRead') && error === undefined;
    return {
      ...(error === undefined ? {} : { error }),
      ...(value === undefined || value === null ? {} : { value: value as string }),
      ...(identical === undefined ? {} : { identical }),
      ...(reads ? { bytes } : {}),
      before: before.map(decodeOrNone),
      after: after.map(decodeOrNone),
      started: BigInt(started),
    };
  }

  /** For the reference: if the mount may keep a time that the reference changed, both go on with the mount's. */
  async setMtime(target: Observed, mtime: bigint): Promise<void> {
    await this.#ask({ do: 'setMtime', target, mtime: `${mtime}` });
  }

  async tree(): Promise<readonly TreeEntry[]> {
    const { reply } = await this.#ask({ do: 'tree', fresh: !this.#isReference });
    return (reply.value as readonly Encoded<TreeEntry>[]).map(decode);
  }

  async content(path: string): Promise<Buffer> {
    return (await this.#ask({ do: 'content', path })).bytes;
  }

  /** Ends the worker, which closes its open files. */
  async close(): Promise<void> {
    this.#child.stdin?.end();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 5000);
    await this.#ended;
    clearTimeout(timer);
  }
}
