/**
 * One connection to a Deluge daemon: frames over TLS, each a byte of version, the length of the rest (u32, big endian),
 * and a zlib stream of a rencoded list. Seen with 2.0.3 (`deluge/transfer.py`, `deluge/core/rpcserver.py`).
 *
 * The daemon's certificate is one that it signed itself, and no client of it compares it with anything: the connection is
 * encrypted, but who answers is not proven. Where that matters, tunnel it, or use the web interface behind HTTPS.
 */
import { connect, type TLSSocket } from 'node:tls';
import { deflateSync, inflateSync } from 'node:zlib';
import { AutotorrentError, errnoOf } from '../../errors.ts';
import { connectionFailure, cutOff, type Endpoint, failure, timedOut, tooLong } from '../wire/exchange.ts';
import { derencode, type Rencodable, rencode } from '../wire/rencode.ts';
import type { DelugeAnswer, DelugeCall } from './rpc.ts';

const PROTOCOL_VERSION = 1;
const HEADER_BYTES = 5;
/** Kinds of messages. */
const RESPONSE = 1;
const ERROR = 2;
/** Each call of a request beyond the first adds so much to its time limit. */
const MORE_MS_A_CALL = 250;

interface Waiting {
  readonly resolve: (message: readonly Rencodable[]) => void;
  readonly reject: (error: AutotorrentError) => void;
}

export class DelugeConnection {
  readonly #endpoint: Endpoint;
  readonly #socket: TLSSocket;
  readonly #waiting = new Map<number, Waiting>();
  #chunks: Buffer[] = [];
  #received = 0;
  #nextId = 0;
  #failed: AutotorrentError | undefined;

  private constructor(endpoint: Endpoint, socket: TLSSocket) {
    this.#endpoint = endpoint;
    this.#socket = socket;
    socket.on('data', (chunk) => this.#take(chunk));
    socket.on('error', (error) => this.#fail(connectionFailure(endpoint, error)));
    socket.on('close', () => this.#fail(cutOff(endpoint)));
  }

  static open(endpoint: Endpoint, host: string, port: number): Promise<DelugeConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port, rejectUnauthorized: false });
      const timer = setTimeout(() => {
        socket.destroy();
        reject(timedOut(endpoint));
      }, endpoint.timeoutMs);
      const failed = (error: unknown): void => {
        clearTimeout(timer);
        const code = errnoOf(error) ?? '';
        const noTls = code.startsWith('ERR_SSL') || code === 'EPROTO' || code === 'ECONNRESET';
        const hint = 'See whether `host` is that of the daemon, not of its web interface, and whether it runs.';
        reject(
          noTls
            ? failure(endpoint, 'does not speak TLS: it is no Deluge daemon', hint, error)
            : connectionFailure(endpoint, error),
        );
      };
      socket.once('error', failed);
      socket.once('secureConnect', () => {
        clearTimeout(timer);
        socket.off('error', failed);
        resolve(new DelugeConnection(endpoint, socket));
      });
    });
  }

  get hasEnded(): boolean {
    return this.#failed !== undefined;
  }

  /** One answer a call, in their order. @throws AutotorrentError('CLIENT') where the connection fails or ends */
  async request(
    calls: readonly DelugeCall[],
    kwargs: { readonly [key: string]: Rencodable } = {},
  ): Promise<DelugeAnswer[]> {
    if (this.#failed !== undefined) throw this.#failed;
    if (calls.length === 0) return [];
    const first = this.#nextId;
    this.#nextId += calls.length;
    const body = deflateSync(rencode(calls.map(({ method, args }, i) => [first + i, method, args, kwargs])));
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt8(PROTOCOL_VERSION);
    header.writeUInt32BE(body.length, 1);
    const answers = calls.map((_, i) => {
      return new Promise<readonly Rencodable[]>((resolve, reject) => {
        this.#waiting.set(first + i, { resolve, reject });
      });
    });
    const limit = this.#endpoint.timeoutMs + (calls.length - 1) * MORE_MS_A_CALL;
    const timer = setTimeout(() => this.#fail(timedOut(this.#endpoint)), limit);
    this.#socket.write(Buffer.concat([header, body]));
    try {
      return (await Promise.all(answers)).map((message) => this.#answer(message));
    } finally {
      clearTimeout(timer);
    }
  }

  end(): void {
    this.#fail(failure(this.#endpoint, 'was disconnected from'));
  }

  #answer(message: readonly Rencodable[]): DelugeAnswer {
    const [kind, , ...rest] = message;
    if (kind === RESPONSE) return { result: rest[0] };
    const [kindOfError, args] = rest;
    const type = typeof kindOfError === 'string' ? kindOfError : 'an error';
    const said = Array.isArray(args) ? args.filter((part) => typeof part === 'string').join(' ') : '';
    return { error: { type, message: said === '' ? type : said } };
  }

  #take(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#received += chunk.length;
    try {
      while (this.#received >= HEADER_BYTES) {
        if (this.#chunks.length > 1 && (this.#chunks[0]?.length ?? 0) < HEADER_BYTES) this.#join();
        const [head] = this.#chunks;
        if (head === undefined) return;
        if (head.readUInt8() !== PROTOCOL_VERSION) throw this.#noDeluge();
        const length = head.readUInt32BE(1);
        if (length > this.#endpoint.maxReplyBytes) throw tooLong(this.#endpoint);
        if (this.#received < HEADER_BYTES + length) return;
        this.#join();
        const [all = Buffer.alloc(0)] = this.#chunks;
        const rest = all.subarray(HEADER_BYTES + length);
        this.#chunks = [rest];
        this.#received = rest.length;
        this.#deliver(all.subarray(HEADER_BYTES, HEADER_BYTES + length));
      }
    } catch (error) {
      this.#fail(error instanceof AutotorrentError ? error : this.#noDeluge(error));
    }
  }

  #join(): void {
    this.#chunks = [Buffer.concat(this.#chunks)];
  }

  #deliver(body: Buffer): void {
    let inflated: Buffer;
    try {
      inflated = inflateSync(body, { maxOutputLength: this.#endpoint.maxReplyBytes });
    } catch (error) {
      if (errnoOf(error) === 'ERR_BUFFER_TOO_LARGE') throw tooLong(this.#endpoint);
      throw error;
    }
    const message = derencode(inflated);
    if (!Array.isArray(message)) throw this.#noDeluge();
    const [kind, id] = message as readonly Rencodable[];
    // Deluge also sends events, to those who asked for them.
    if (kind !== RESPONSE && kind !== ERROR) return;
    const waiting = typeof id === 'number' ? this.#waiting.get(id) : undefined;
    if (waiting === undefined) throw this.#noDeluge();
    this.#waiting.delete(Number(id));
    waiting.resolve(message as readonly Rencodable[]);
  }

  #noDeluge(cause?: unknown): AutotorrentError {
    const hint = 'See whether `host` in the [client] section is that of its daemon.';
    return failure(this.#endpoint, 'answered something that is not the protocol of a Deluge 2 daemon', hint, cause);
  }

  #fail(error: AutotorrentError): void {
    this.#failed ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#failed);
    this.#waiting.clear();
    this.#chunks = [];
    this.#socket.destroy();
  }
}
