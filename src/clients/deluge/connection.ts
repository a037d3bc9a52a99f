/**
 * One connection to a Deluge daemon: frames over TLS, each a byte of version, the length of the rest (u32, big endian),
 * and a zlib stream of a rencoded list. Seen with 2.0.3 (`deluge/transfer.py`, `deluge/core/rpcserver.py`).
 *
 * The daemon's certificate is one that it signed itself: TLS proves no more than that the other side has its key. Whose it
 * is, `identity.ts` decides before anything is sent.
 */
import { connect, type TLSSocket } from 'node:tls';
import { createInflate, deflateSync } from 'node:zlib';
import { AutotorrentError, errnoOf } from '../../errors.ts';
import { type Allowance, SHORT, sumOf } from '../wire/allowance.ts';
import { Collected } from '../wire/collected.ts';
import { derencodeSteps } from '../wire/derencode.ts';
import {
  allowedOf,
  connectionFailure,
  cutOff,
  type Endpoint,
  failure,
  timedOut,
  tooLong,
  unreadable,
} from '../wire/exchange.ts';
import { type Rencodable, rencode } from '../wire/rencode.ts';
import { Excess, inSlices, PastDeadline } from '../wire/slices.ts';
import { fingerprintOf } from './identity.ts';
import type { DelugeAnswer, DelugeCall } from './rpc.ts';

const PROTOCOL_VERSION = 1;
const HEADER_BYTES = 5;
/** Kinds of messages. */
const RESPONSE = 1;
const ERROR = 2;
/** Each call of a request beyond the first adds so much to its time limit. */
const MORE_MS_A_CALL = 250;

/** What an answer has around its result. */
const AROUND: Allowance = { bytes: 1024, values: 10, lists: 5 };

interface Waiting {
  readonly resolve: (message: readonly Rencodable[]) => void;
  readonly reject: (error: AutotorrentError) => void;
}

export class DelugeConnection {
  readonly #endpoint: Endpoint;
  readonly socket: TLSSocket;
  readonly #waiting = new Map<number, Waiting>();
  readonly #received: Collected;
  #isReading = false;
  /** Why no more will come, once that is so. */
  #ended: AutotorrentError | undefined;
  /** Of each answer that is waited for. */
  #allowed: Allowance = SHORT;
  /** Of all of them, as `performance.now()` counts. */
  #deadline = 0;
  #nextId = 0;
  #failed: AutotorrentError | undefined;

  private constructor(endpoint: Endpoint, socket: TLSSocket) {
    this.#endpoint = endpoint;
    this.socket = socket;
    // The length of a frame is compared with what is allowed as soon as it is there.
    this.#received = new Collected(2 * endpoint.maxReplyBytes + HEADER_BYTES);
    socket.on('data', (chunk) => this.#take(chunk));
    socket.on('error', (error) => this.#end(connectionFailure(endpoint, error)));
    socket.on('close', () => this.#end(cutOff(endpoint)));
  }

  /** Of the certificate whose key the other side has. @throws AutotorrentError('CLIENT') if it showed none */
  get fingerprint(): string {
    const certificate = this.socket.getPeerX509Certificate();
    if (certificate === undefined) throw failure(this.#endpoint, 'shows no certificate: it is no Deluge daemon');
    return fingerprintOf(certificate);
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
    this.#deadline = performance.now() + limit;
    this.#allowed = allowedOf(this.#endpoint, largestOf(calls));
    const timer = setTimeout(() => this.#fail(timedOut(this.#endpoint)), limit);
    this.socket.write(Buffer.concat([header, body]));
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
    // Deluge sends events only to those who asked for them: nobody answers where nothing was asked.
    if (this.#waiting.size === 0) return this.#fail(this.#noDeluge());
    try {
      this.#received.add(chunk);
    } catch (error) {
      return this.#fail(tooLong(this.#endpoint, this.#allowed.bytes, error));
    }
    if (!this.#isReading) void this.#read();
  }

  /** Reads the answers that are there. Nothing more is taken from the socket meanwhile. */
  async #read(): Promise<void> {
    this.#isReading = true;
    this.socket.pause();
    try {
      let at = 0;
      for (;;) {
        const frame = this.#frameAt(at);
        if (frame === undefined) break;
        at += HEADER_BYTES + frame.length;
        await this.#deliver(frame);
        if (this.#failed !== undefined) return;
      }
      this.#received.drop(at);
    } catch (error) {
      this.#fail(this.#unreadable(error));
    } finally {
      this.#isReading = false;
      if (this.#ended !== undefined) this.#fail(this.#ended);
      this.socket.resume();
    }
  }

  /** Undefined while it has not all arrived. */
  #frameAt(at: number): Buffer | undefined {
    const bytes = this.#received.bytes.subarray(at);
    if (bytes.length > 0 && bytes.readUInt8() !== PROTOCOL_VERSION) throw this.#noDeluge();
    if (bytes.length < HEADER_BYTES) return undefined;
    const length = bytes.readUInt32BE(1);
    if (length > this.#allowed.bytes) throw tooLong(this.#endpoint, this.#allowed.bytes);
    return bytes.length < HEADER_BYTES + length ? undefined : bytes.subarray(HEADER_BYTES, HEADER_BYTES + length);
  }

  async #deliver(frame: Buffer): Promise<void> {
    const body = await inflated(frame, this.#allowed.bytes, this.#deadline);
    const message = await inSlices(derencodeSteps(body, sumOf(this.#allowed, AROUND)), this.#deadline);
    if (!Array.isArray(message)) throw this.#noDeluge();
    const [kind, id] = message as readonly Rencodable[];
    if (kind !== RESPONSE && kind !== ERROR) throw this.#noDeluge();
    const waiting = typeof id === 'number' ? this.#waiting.get(id) : undefined;
    if (waiting === undefined) throw this.#noDeluge();
    this.#waiting.delete(Number(id));
    waiting.resolve(message as readonly Rencodable[]);
  }

  #unreadable(error: unknown): AutotorrentError {
    if (error instanceof AutotorrentError) return error;
    if (error instanceof Excess || error instanceof PastDeadline) return unreadable(this.#endpoint, '', error);
    return this.#noDeluge(error);
  }

  /** What has arrived before the end is read still. */
  #end(error: AutotorrentError): void {
    this.#ended ??= error;
    if (!this.#isReading) this.#fail(error);
  }

  #noDeluge(cause?: unknown): AutotorrentError {
    const hint = 'See whether `host` in the [client] section is that of its daemon.';
    return failure(this.#endpoint, 'answered something that is not the protocol of a Deluge 2 daemon', hint, cause);
  }

  #fail(error: AutotorrentError): void {
    this.#failed ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#failed);
    this.#waiting.clear();
    this.socket.destroy();
  }
}

/** Inflates in pieces: all at once, it would end by copying all. @throws Excess, PastDeadline, the errors of zlib */
async function inflated(frame: Buffer, most: number, deadline: number): Promise<Buffer> {
  const collected = new Collected(most);
  const stream = createInflate({ chunkSize: 64 * 1024 });
  stream.end(frame);
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    collected.add(chunk);
    if (performance.now() > deadline) throw new PastDeadline('the time limit ended while the reply was being inflated');
  }
  return collected.bytes;
}

/** The largest allowance of a call: which one an answer belongs to shows only once it is parsed. */
function largestOf(calls: readonly DelugeCall[]): Allowance {
  const most = (key: keyof Allowance): number =>
    calls.reduce((largest, { allowed = SHORT }) => Math.max(largest, allowed[key]), SHORT[key]);
  return { bytes: most('bytes'), values: most('values'), lists: most('lists') };
}
