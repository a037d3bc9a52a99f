/**
 * Talks to the server of one store over its control socket.
 *
 * "No server runs" is an outcome, not a failure: then `ControlClient.connect` resolves with undefined.
 */
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import type { Socket } from 'node:net';
import { basename, dirname } from 'node:path';
import type { MountOwner } from '../config/mount-owner.ts';
import { AutotorrentError, type ErrorCode, errnoOf, messageOf } from '../errors.ts';
import { dial, Peers, UntrustedSocket } from '../state/peer.ts';
import { keepPrivate } from '../state/private-folder.ts';
import { CaseClient } from './case-client.ts';
import { identityMessage } from './case-codec.ts';
import { differencesOf, dueOf, entryOf, fileOf, sourceOf } from './codec.ts';
import type {
  AddedMessage,
  DamageMessage,
  DifferenceLine,
  DiscardMessage,
  DiscardRequest,
  DueMessage,
  EntryMessage,
  FileMessage,
  GapsMessage,
  LossesMessage,
  NameLine,
  OwnerMessage,
  PinnedMessage,
  PoolMessage,
  ReleaseMessage,
  ReleaseRequest,
  RepairMessage,
  ShutdownLine,
  SourceMessage,
  StatusMessage,
  VerificationBegun,
  VerificationRequest,
} from './messages.ts';
import type {
  DamagedSource,
  Discarded,
  DueEntry,
  DueQuestion,
  EntryPinned,
  Losses,
  Pooled,
  Released,
  RepairNews,
  ServedDifference,
  ServedEntry,
  ServedFile,
  ServedSource,
  ServerStatus,
  Verified,
} from './served.ts';
import { statusOf } from './status-codec.ts';

/** The longest silence of the server, in milliseconds. */
export interface TimeLimits {
  /** A server that is silent for this long hangs: few requests take a tenth of it. */
  readonly usual: number;
  /** Making or removing an entry of 200,000 files takes minutes while clients read; so does the last sync. */
  readonly long: number;
}

const TIME_LIMITS: TimeLimits = { usual: 60_000, long: 30 * 60_000 };

export class ControlClient {
  readonly #socketPath: string;
  readonly #limits: TimeLimits;
  readonly #peers = new Peers();
  /** Asks about sources and their cases. */
  readonly cases = new CaseClient({
    json: async (method, path, content) => await this.#json(method, path, content),
    sendLines: async (path, lines) => await this.#sendLines(path, lines),
    lines: (path, signal) => this.#lines(path, signal),
  });

  private constructor(socketPath: string, limits: TimeLimits) {
    this.#socketPath = socketPath;
    this.#limits = limits;
  }

  /**
   * Connects to the server; undefined if none runs.
   * @throws AutotorrentError('SERVER') if another program answers on the socket, or another user could have made it: that one
   *   is sent nothing
   */
  static async connect(socketPath: string, limits: TimeLimits = TIME_LIMITS): Promise<ControlClient | undefined> {
    const client = new ControlClient(socketPath, limits);
    const folder = { code: 'SERVER', what: 'the folder of the control socket', make: false, open: 'look' } as const;
    if (!keepPrivate(dirname(socketPath), folder)) return undefined;
    try {
      await client.status();
      return client;
    } catch (error) {
      const errno = errnoOf(error instanceof AutotorrentError ? error.cause : error);
      if (errno === 'ENOENT' || errno === 'ECONNREFUSED' || errno === 'ENOTDIR') return undefined;
      throw error;
    }
  }

  async status(): Promise<ServerStatus> {
    const message = (await this.#json('GET', '/v1/status')) as StatusMessage;
    return decoded(() => statusOf(message));
  }

  async entries(): Promise<ServedEntry[]> {
    const messages = (await this.#json('GET', '/v1/entries')) as readonly EntryMessage[];
    return decoded(() => messages.map(entryOf));
  }

  /** Asks for an entry; undefined if there is none. `id`: an info hash, its first 8 digits or more, or a name. */
  async entry(id: string): Promise<ServedEntry | undefined> {
    try {
      const message = (await this.#json('GET', entryPath(id))) as EntryMessage;
      return decoded(() => entryOf(message));
    } catch (error) {
      if (error instanceof AutotorrentError && error.code === 'NOT_FOUND') return undefined;
      throw error;
    }
  }

  /** Lists the files of an entry one at a time: there may be 200,000 of them. */
  async *files(id: string): AsyncGenerator<ServedFile> {
    for await (const message of this.#lines<FileMessage>(`${entryPath(id)}/files`)) yield fileOf(message);
  }

  /** Lists the sources of an entry that are not trusted, or that have a story. */
  async *sources(id: string): AsyncGenerator<ServedSource> {
    for await (const message of this.#lines<SourceMessage>(`${entryPath(id)}/sources`)) yield sourceOf(message);
  }

  /** Reads one JSON document per line. */
  async *#lines<T>(path: string, signal?: AbortSignal): AsyncGenerator<T> {
    // Some lines take long: of 200,000 files one may differ.
    const limits = { limitMs: this.#limits.long, ...(signal === undefined ? {} : { signal }) };
    const reply = await this.#request('GET', path, [], undefined, limits);
    yield* documents<T>(reply);
  }

  async #sendLines(path: string, lines: readonly unknown[]): Promise<unknown> {
    const payload = lines.map((line) => Buffer.from(`${JSON.stringify(line)}\n`));
    const limits = { limitMs: this.#limits.long };
    const bytes = await body(await this.#request('POST', path, payload, 'application/x-ndjson', limits));
    return bytes.length === 0 ? undefined : parse(bytes);
  }

  async metainfo(id: string): Promise<Buffer> {
    return body(await this.#request('GET', `${entryPath(id)}/metainfo`));
  }

  /** Reads the piece map: one bit per piece. */
  async pieces(id: string): Promise<Buffer> {
    return body(await this.#request('GET', `${entryPath(id)}/pieces`));
  }

  /**
   * Waits until no other command adds, and keeps others from it until the returned function is called, or this process
   * ends. `onWait` is called if it takes more than a moment.
   */
  async turn(onWait: () => void, signal: AbortSignal): Promise<() => void> {
    const told = setTimeout(onWait, 500);
    try {
      const reply = await this.#request('POST', '/v1/turn', [], undefined, { limitMs: 0, signal });
      return () => reply.destroy();
    } finally {
      clearTimeout(told);
    }
  }

  /**
   * Hands over an encoded plan, in blocks as it comes; when this resolves, the entry is `adding` and visible in the mount. With `directory` it
   * is external: only listed; the client works in that folder.
   */
  async create(plan: Iterable<Buffer>, directory?: string): Promise<ServedEntry> {
    const query = directory === undefined ? '' : `?directory=${encodeURIComponent(directory)}`;
    const reply = await this.#request('POST', `/v1/entries${query}`, plan, undefined, { limitMs: this.#limits.long });
    const created = parse(await body(reply)) as EntryMessage;
    return decoded(() => entryOf(created));
  }

  /** `names`, by file index: components below the entry's directory; undefined keeps the torrent's own name. */
  async addNames(id: string, names: readonly (readonly string[] | undefined)[]): Promise<void> {
    const options = { limitMs: this.#limits.long };
    await body(
      await this.#request('PUT', `${entryPath(id)}/names`, nameBlocks(names), 'application/x-ndjson', options),
    );
  }

  /** Marks entries as added; returns those that exist. */
  async markAdded(infoHashes: readonly string[]): Promise<readonly string[]> {
    const message: AddedMessage = { info_hashes: infoHashes };
    return ((await this.#json('POST', '/v1/added', message)) as AddedMessage).info_hashes;
  }

  async remove(id: string): Promise<void> {
    await this.#json('DELETE', entryPath(id), undefined, this.#limits.long);
  }

  /** Begins a verification, before the files are listed. Returns the number that `endVerification` needs. */
  async beginVerification(id: string): Promise<number> {
    return ((await this.#json('POST', `${entryPath(id)}/verification`)) as VerificationBegun).since;
  }

  /** Begins a verification whose good pieces are proven for sources that are doubted. */
  async beginProof(id: string): Promise<Pick<Verified, 'since' | 'epoch'>> {
    return (await this.#json('POST', `${entryPath(id)}/verification`)) as VerificationBegun;
  }

  async endVerification(id: string, { good, bad, ...begun }: Verified): Promise<ServedEntry> {
    const message: VerificationRequest = { ...begun, good: good.toString('base64'), bad: bad.toString('base64') };
    const entry = (await this.#json('PUT', `${entryPath(id)}/verification`, message)) as EntryMessage;
    return decoded(() => entryOf(entry));
  }

  /** Has the sources of an entry pinned, however long it takes. @throws AutotorrentError('NOT_FOUND') */
  async protect(id: string): Promise<EntryPinned> {
    return (await this.#json('POST', `${entryPath(id)}/protect`, undefined, 0)) as PinnedMessage;
  }

  /** Puts a whole file into the pool. */
  async pool(id: string, file: number): Promise<Pooled> {
    return (await this.#json('POST', `${entryPath(id)}/pool?file=${file}`)) as PoolMessage;
  }

  /** Lists the entries with pieces to hash. */
  async *dueEntries(question: DueQuestion): AsyncGenerator<DueEntry> {
    for await (const message of this.#lines<DueMessage>(`/v1/due?${dueQuery(question)}`)) yield dueOf(message);
  }

  /** Gives one byte for each piece: why it is due (`NOT_DUE`, …). */
  async duePieces(id: string, question: DueQuestion): Promise<Buffer> {
    return body(await this.#request('GET', `${entryPath(id)}/due?${dueQuery(question)}`));
  }

  /** Reports sources of an entry whose bytes do not agree, or cannot be read. */
  async damaged(id: string, sources: readonly DamagedSource[]): Promise<void> {
    for (let from = 0; from < sources.length; from += DAMAGED_AT_ONCE) {
      const message: DamageMessage = {
        sources: sources.slice(from, from + DAMAGED_AT_ONCE).map(({ path, reason, hashed }) => ({
          path_bytes: path.toString('base64'),
          reason,
          ...(hashed === undefined ? {} : { hashed: { pieces: hashed.pieces, file: identityMessage(hashed.file) } }),
        })),
      };
      await this.#json('POST', `${entryPath(id)}/damage`, message);
    }
  }

  /** Lists what differs from the plan. */
  differences(id: string): AsyncGenerator<ServedDifference> {
    return differencesOf(this.#lines<DifferenceLine>(`${entryPath(id)}/differences`));
  }

  /** `what`: paths below the entry's directory, of files and of folders, or what was deleted or overwritten; undefined: everything. */
  async discard(id: string, what: readonly string[] | 'deleted' | undefined): Promise<Discarded> {
    const message: DiscardRequest = what === undefined ? {} : what === 'deleted' ? { deleted: true } : { files: what };
    return (await this.#json('POST', `${entryPath(id)}/discard`, message, this.#limits.long)) as DiscardMessage;
  }

  async losses(id: string): Promise<Losses> {
    const message = (await this.#json('GET', `${entryPath(id)}/losses`, undefined, this.#limits.long)) as LossesMessage;
    const { lost_bytes: lostBytes, download_bytes: downloadBytes, unsettled, doubted } = message;
    return { lostBytes, downloadBytes, unsettled, doubted };
  }

  /** Turns what is lost into gaps; no client may run the torrent. Returns the bytes. */
  async makeGaps(id: string): Promise<number> {
    return ((await this.#json('POST', `${entryPath(id)}/gaps`, undefined, this.#limits.long)) as GapsMessage).bytes;
  }

  /** Tells that bytes were missing and are mapped now: the clients are told. */
  async returned(id: string): Promise<void> {
    await this.#json('POST', `${entryPath(id)}/returned`);
  }

  /** Has an entry repaired, whatever the limits say. Yields what becomes of it; checks of clients may take hours. */
  async *repair(id: string, signal: AbortSignal): AsyncGenerator<RepairNews> {
    const reply = await this.#request('POST', `${entryPath(id)}/repair`, [], undefined, { limitMs: 0, signal });
    yield* documents<RepairMessage>(reply);
  }

  /** Has the server let go of a disk; `links`: folders that lead to it by a link. */
  async release(mountPoints: readonly Buffer[], links: readonly Buffer[]): Promise<Released> {
    const message: ReleaseRequest = {
      mount_points: mountPoints.map((path) => path.toString('base64')),
      links: links.map((path) => path.toString('base64')),
    };
    const { sources, open } = (await this.#json('POST', '/v1/release', message, this.#limits.long)) as ReleaseMessage;
    return { mountPoints, sources, open };
  }

  /** Has the server look again whose the files in the mount are to be. Resolves once the kernel shows them so. */
  async lookAtOwner(): Promise<MountOwner> {
    return (await this.#json('POST', '/v1/owner')) as OwnerMessage;
  }

  /** Ends the server. Yields warnings as they come; ends when the server has unmounted and closed its store. */
  async *shutdown(): AsyncGenerator<string> {
    const reply = await this.#request('POST', '/v1/shutdown', [], undefined, { limitMs: this.#limits.long });
    try {
      for await (const line of documents<ShutdownLine>(reply)) yield line.warning;
    } catch {
      // The server holds the reply open until it ends: then a reset is as good as an end.
    }
  }

  async #json(method: string, path: string, content?: unknown, limitMs = this.#limits.usual): Promise<unknown> {
    const payload = content === undefined ? undefined : [Buffer.from(JSON.stringify(content))];
    const bytes = await body(await this.#request(method, path, payload, 'application/json', { limitMs }));
    return bytes.length === 0 ? undefined : parse(bytes);
  }

  /** Sends a request. Returns a reply with a status below 300; throws the error that any other carries. */
  async #request(
    method: string,
    path: string,
    payload: Iterable<Buffer> = [],
    type = 'application/octet-stream',
    { limitMs = this.#limits.usual, signal }: { limitMs?: number; signal?: AbortSignal } = {},
  ): Promise<IncomingMessage> {
    const reply = await new Promise<IncomingMessage>((resolve, reject) => {
      const { start, length, rest } = begun(payload);
      const headers: Record<string, string | number> =
        rest === undefined ? { 'content-length': length } : { 'transfer-encoding': 'chunked' };
      if (length > 0) headers['content-type'] = type;
      const createConnection = (_: unknown, ready: (error: Error | null, socket: Socket) => void): undefined => {
        dial(dirname(this.#socketPath), basename(this.#socketPath), this.#peers).then(
          (socket) => ready(null, socket.setTimeout(limitMs)),
          // Node's types want a socket, its code takes none beside an error.
          (error: Error) => ready(error, undefined as unknown as Socket),
        );
      };
      const options = { method, path, headers, timeout: limitMs, createConnection };
      let answered = false;
      const call = request(signal === undefined ? options : { ...options, signal }, (answer) => {
        answered = true;
        resolve(answer);
      });
      call.on('timeout', () => call.destroy(new Error(`no answer within ${limitMs / 1000} s`)));
      call.on('error', (cause) => {
        // A server that refuses a body answers before its end, and then takes no more.
        if (answered) return;
        reject(
          new AutotorrentError('SERVER', `the server at ${this.#socketPath} cannot be asked: ${messageOf(cause)}`, {
            cause,
            hint: hintFor(cause),
          }),
        );
      });
      void write(call, start, rest, () => answered).catch(reject);
    });
    if (reply.statusCode !== undefined && reply.statusCode < 300) return reply;
    throw toError(await body(reply), reply.statusCode);
  }
}

function hintFor(cause: Error): string {
  if (cause instanceof UntrustedSocket) return cause.hint;
  if (errnoOf(cause) === 'EACCES') return 'another user runs it: run this as that user';
  return 'see what it logged; `autotorrent unmount` stops it';
}

/** Damaged sources in a request: each may name a hundred pieces. */
const DAMAGED_AT_ONCE = 100;
/** Bytes of a body of known length; a longer one is made while it is sent. */
const SHORT = 1024 * 1024;

/** Begins to make a body. `rest` makes the remainder, whose length is not known. */
function begun(payload: Iterable<Buffer>): { start: Buffer[]; length: number; rest: Iterator<Buffer> | undefined } {
  const rest = payload[Symbol.iterator]();
  const start: Buffer[] = [];
  let length = 0;
  while (length <= SHORT) {
    const next = rest.next();
    if (next.done === true) return { start, length, rest: undefined };
    start.push(next.value);
    length += next.value.length;
  }
  return { start, length, rest };
}

/** Sends a body as fast as the server takes it, until it answers. */
async function write(
  call: ClientRequest,
  start: readonly Buffer[],
  rest: Iterator<Buffer> | undefined,
  answered: () => boolean,
): Promise<void> {
  const send = async (block: Buffer): Promise<void> => {
    if (call.write(block) || call.destroyed) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        for (const event of EVENTS) call.off(event, done);
        resolve();
      };
      for (const event of EVENTS) call.on(event, done);
    });
  };
  for (const block of start) await send(block);
  for (;;) {
    const next = answered() || call.destroyed ? undefined : rest?.next();
    if (next === undefined || next.done === true) break;
    await send(next.value);
  }
  call.end();
}

const EVENTS = ['drain', 'close', 'response', 'error'] as const;

function* nameBlocks(names: readonly (readonly string[] | undefined)[]): Generator<Buffer> {
  for (let from = 0; from < names.length; from += NAMES_OF_BLOCK) {
    const lines = names
      .slice(from, from + NAMES_OF_BLOCK)
      .map((name) => `${JSON.stringify((name ?? null) satisfies NameLine)}\n`);
    yield Buffer.from(lines.join(''));
  }
}

const NAMES_OF_BLOCK = 1000;

const dueQuery = ({ days, all, again }: DueQuestion): string =>
  `days=${days}${all ? '&all=1' : ''}${again ? '&again=1' : ''}`;

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
    throw foreign(cause);
  }
}

/** Runs `decode` on an answer. @throws AutotorrentError('SERVER') if it is another program's */
function decoded<Value>(decode: () => Value): Value {
  try {
    return decode();
  } catch (cause) {
    throw foreign(cause);
  }
}

function foreign(cause: unknown): AutotorrentError {
  return new AutotorrentError('SERVER', 'the program on the control socket is not an autotorrent server', { cause });
}

function toError(bytes: Buffer, status: number | undefined): AutotorrentError {
  const reply = parse(bytes) as { error?: { code?: string; message?: string; hint?: string } } | null;
  const { code, message, hint } = reply?.error ?? {};
  const known = code === undefined || code === 'INTERNAL' ? 'SERVER' : (code as ErrorCode);
  return new AutotorrentError(known, message ?? `the server answered with status ${status}`, { hint });
}
