/**
 * Talks to the server of one store over its control socket.
 *
 * "No server runs" is an outcome, not a failure: `ControlClient.connect` answers undefined.
 */
import { type IncomingMessage, request } from 'node:http';
import { AutotorrentError, type ErrorCode, errnoOf, messageOf } from '../errors.ts';
import type {
  AddedMessage,
  DifferenceLine,
  DifferenceMessage,
  DiscardMessage,
  DiscardRequest,
  EntryMessage,
  FileMessage,
  NamesRequest,
  PoolMessage,
  ShutdownLine,
  StatusMessage,
  VerificationBegun,
  VerificationRequest,
} from './messages.ts';

/** A server that is silent for so long hangs: little that it is asked takes a tenth of it. */
const TIME_LIMIT_MS = 60_000;
/** To make or take out an entry of 200,000 files takes minutes where clients read meanwhile; so does the last sync. */
const LONG_LIMIT_MS = 30 * 60_000;

export class ControlClient {
  readonly #socketPath: string;

  private constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  /** @throws AutotorrentError('SERVER') where the socket is there and something else than our server answers */
  static async connect(socketPath: string): Promise<ControlClient | undefined> {
    const client = new ControlClient(socketPath);
    try {
      await client.status();
      return client;
    } catch (error) {
      const errno = errnoOf(error instanceof AutotorrentError ? error.cause : error);
      if (errno === 'ENOENT' || errno === 'ECONNREFUSED' || errno === 'ENOTDIR') return undefined;
      throw error;
    }
  }

  async status(): Promise<StatusMessage> {
    return (await this.#json('GET', '/v1/status')) as StatusMessage;
  }

  async entries(): Promise<EntryMessage[]> {
    return (await this.#json('GET', '/v1/entries')) as EntryMessage[];
  }

  /** Undefined where there is no such entry. `id`: an info hash, its first 8 digits or more, or a name. */
  async entry(id: string): Promise<EntryMessage | undefined> {
    try {
      return (await this.#json('GET', entryPath(id))) as EntryMessage;
    } catch (error) {
      if (error instanceof AutotorrentError && error.code === 'NOT_FOUND') return undefined;
      throw error;
    }
  }

  /** The files of an entry, one after the other: an entry may have 200,000 of them. */
  files(id: string): AsyncGenerator<FileMessage> {
    return this.#lines<FileMessage>(`${entryPath(id)}/files`);
  }

  /** A JSON document a line. */
  async *#lines<T>(path: string): AsyncGenerator<T> {
    // Some lines are long in coming: of 200,000 files one may differ.
    const reply = await this.#request('GET', path, undefined, undefined, { limitMs: LONG_LIMIT_MS });
    yield* documents<T>(reply);
  }

  async metainfo(id: string): Promise<Buffer> {
    return body(await this.#request('GET', `${entryPath(id)}/metainfo`));
  }

  /** The piece map: one bit a piece. */
  async pieces(id: string): Promise<Buffer> {
    return body(await this.#request('GET', `${entryPath(id)}/pieces`));
  }

  /**
   * Waits until no other command adds, and keeps the others from it until the function that it
   * gives is called, or this process ends. `onWait` is told where it takes more than a moment.
   */
  async turn(onWait: () => void, signal: AbortSignal): Promise<() => void> {
    const told = setTimeout(onWait, 500);
    try {
      const reply = await this.#request('POST', '/v1/turn', undefined, undefined, { limitMs: 0, signal });
      return () => reply.destroy();
    } finally {
      clearTimeout(told);
    }
  }

  /**
   * Hands over an encoded plan; the entry is `adding` and visible in the mount when this resolves.
   * With `directory` it is external: listed only, the client works in that folder.
   */
  async create(plan: Buffer, directory?: string): Promise<EntryMessage> {
    const query = directory === undefined ? '' : `?directory=${encodeURIComponent(directory)}`;
    return parse(
      await body(await this.#request('POST', `/v1/entries${query}`, plan, undefined, { limitMs: LONG_LIMIT_MS })),
    ) as EntryMessage;
  }

  async addNames(id: string, names: NamesRequest): Promise<void> {
    await this.#json('PUT', `${entryPath(id)}/names`, names, LONG_LIMIT_MS);
  }

  /** Gives those of which there is an entry. */
  async markAdded(infoHashes: readonly string[]): Promise<readonly string[]> {
    const message: AddedMessage = { info_hashes: infoHashes };
    return ((await this.#json('POST', '/v1/added', message)) as AddedMessage).info_hashes;
  }

  async remove(id: string): Promise<void> {
    await this.#json('DELETE', entryPath(id), undefined, LONG_LIMIT_MS);
  }

  /** What `endVerification` needs, asked before the files are listed. */
  async beginVerification(id: string): Promise<number> {
    return ((await this.#json('POST', `${entryPath(id)}/verification`)) as VerificationBegun).since;
  }

  async endVerification(id: string, found: VerificationRequest): Promise<EntryMessage> {
    return (await this.#json('PUT', `${entryPath(id)}/verification`, found)) as EntryMessage;
  }

  /** Puts a file that is whole into the pool. */
  async pool(id: string, file: number): Promise<PoolMessage> {
    return (await this.#json('POST', `${entryPath(id)}/pool?file=${file}`)) as PoolMessage;
  }

  /** What is not as it was planned. */
  async *differences(id: string): AsyncGenerator<DifferenceMessage> {
    let last: DifferenceMessage | undefined;
    for await (const line of this.#lines<DifferenceLine>(`${entryPath(id)}/differences`)) {
      if (!('more_ranges' in line)) {
        if (last !== undefined) yield last;
        last = line;
      } else if (last !== undefined) last = { ...last, ranges: last.ranges.concat(line.more_ranges) };
    }
    if (last !== undefined) yield last;
  }

  async discard(id: string, what: DiscardRequest): Promise<DiscardMessage> {
    return (await this.#json('POST', `${entryPath(id)}/discard`, what, LONG_LIMIT_MS)) as DiscardMessage;
  }

  /** Gives warnings as they come; ends when the server has unmounted and closed its store. */
  async *shutdown(): AsyncGenerator<string> {
    const reply = await this.#request('POST', '/v1/shutdown', undefined, undefined, { limitMs: LONG_LIMIT_MS });
    try {
      for await (const line of documents<ShutdownLine>(reply)) yield line.warning;
    } catch {
      // The server holds the reply open until it ends: a reset is then as good as an end.
    }
  }

  async #json(method: string, path: string, content?: unknown, limitMs = TIME_LIMIT_MS): Promise<unknown> {
    const payload = content === undefined ? undefined : Buffer.from(JSON.stringify(content));
    const bytes = await body(await this.#request(method, path, payload, 'application/json', { limitMs }));
    return bytes.length === 0 ? undefined : parse(bytes);
  }

  /** A reply with a status below 300; any other is thrown as the error that it carries. */
  async #request(
    method: string,
    path: string,
    payload?: Buffer,
    type = 'application/octet-stream',
    { limitMs = TIME_LIMIT_MS, signal }: { limitMs?: number; signal?: AbortSignal } = {},
  ): Promise<IncomingMessage> {
    const reply = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers: Record<string, string | number> = { 'content-length': payload?.length ?? 0 };
      if (payload !== undefined) headers['content-type'] = type;
      const options = { socketPath: this.#socketPath, method, path, headers, timeout: limitMs, agent: false as const };
      const call = request(signal === undefined ? options : { ...options, signal }, resolve);
      call.on('timeout', () => call.destroy(new Error(`no answer within ${TIME_LIMIT_MS / 1000} s`)));
      call.on('error', (cause) => {
        reject(
          new AutotorrentError('SERVER', `the server at ${this.#socketPath} cannot be asked: ${messageOf(cause)}`, {
            cause,
            hint: 'see what it logged; `autotorrent unmount` stops it',
          }),
        );
      });
      call.end(payload);
    });
    if (reply.statusCode !== undefined && reply.statusCode < 300) return reply;
    throw toError(await body(reply), reply.statusCode);
  }
}

const entryPath = (id: string): string => `/v1/entries/${encodeURIComponent(id)}`;

async function body(reply: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of reply as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function* documents<T>(reply: IncomingMessage): AsyncGenerator<T> {
  let rest = '';
  reply.setEncoding('utf8');
  for await (const chunk of reply as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) yield JSON.parse(line) as T;
  }
  if (rest !== '') throw new AutotorrentError('SERVER', 'the server ended in the middle of its answer');
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new AutotorrentError('SERVER', 'what answers on the control socket is not an autotorrent server', { cause });
  }
}

function toError(bytes: Buffer, status: number | undefined): AutotorrentError {
  const reply = parse(bytes) as { error?: { code?: string; message?: string; hint?: string } } | null;
  const { code, message, hint } = reply?.error ?? {};
  const known = code === undefined || code === 'INTERNAL' ? 'SERVER' : (code as ErrorCode);
  return new AutotorrentError(known, message ?? `the server answered with status ${status}`, { hint });
}
