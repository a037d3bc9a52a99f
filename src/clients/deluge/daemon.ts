/**
 * Deluge's own RPC: frames over TLS, each a byte of version, the length of what follows (u32, big endian), and a zlib
 * stream of a rencoded list. Seen with 2.0.3 (`deluge/transfer.py`, `deluge/core/rpcserver.py`).
 *
 * The daemon's certificate is one that it signed itself, and no client of it compares it with anything: the connection is
 * encrypted, but who answers is not proven. Where that matters, tunnel it, or use the web interface behind HTTPS.
 *
 * One connection, opened by the first call and kept; calls go one after the other. A request may hold many calls, which
 * are answered one by one.
 */
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { deflateSync, inflateSync } from 'node:zlib';
import { AutotorrentError, errnoOf, messageOf } from '../../errors.ts';
import {
  type ClientOptions,
  connectionFailure,
  cutOff,
  type Endpoint,
  endpointOf,
  failure,
  quoted,
  timedOut,
  tooLong,
} from '../wire/exchange.ts';
import { derencode, type Rencodable, rencode } from '../wire/rencode.ts';
import { accountIn, delugeFolders } from './account.ts';
import type { DelugeAnswer, DelugeCall, DelugeError, DelugeRpc } from './rpc.ts';

export interface DelugeAddress {
  /** `host:port`, or a host alone. */
  readonly host: string;
  readonly username?: string;
  readonly password?: string;
}

const DEFAULT_PORT = 58846;
const PROTOCOL_VERSION = 1;
const HEADER_BYTES = 5;
const RESPONSE = 1;
const ERROR = 2;
const BAD_LOGINS: ReadonlySet<string> = new Set(['BadLoginError', 'AuthenticationRequired']);
const CLIENT_VERSION = '2.0.3';
/** A request of many calls may take longer than one of one. */
const MORE_MS_A_CALL = 250;
const CORRECT = 'Correct them in the [client] section: its auth file has user:password:level on each line.';

/**
 * `authFiles`: asked for an account, one after the other, where `address` has none.
 * @throws AutotorrentError('CONFIG') for a host of no known form
 */
export function connectDaemon(
  address: DelugeAddress,
  options: ClientOptions,
  authFiles: (host: string) => readonly string[] = ownAuthFiles,
): DelugeRpc {
  const [, bracketed, plain, port = String(DEFAULT_PORT)] =
    /^(?:\[([0-9a-f:.]+)\]|([^\s:/@]+))(?::(\d{1,5}))?$/i.exec(address.host) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port) > 65_535) {
    throw new AutotorrentError(
      'CONFIG',
      `client: host: ${quoted(address.host.replace(/.*@/, ''))} is no address of a Deluge`,
      {
        hint: `Write 127.0.0.1:${DEFAULT_PORT}.`,
      },
    );
  }
  const endpoint = endpointOf('Deluge', `${bracketed === undefined ? host : `[${host}]`}:${port}`, options);
  return new DaemonRpc(endpoint, { host, port: Number(port) }, address, authFiles(host));
}

/** A daemon of this machine lets in who can read its auth file, as Deluge's own programs do. */
function ownAuthFiles(host: string): string[] {
  if (!['127.0.0.1', '::1', 'localhost'].includes(host)) return [];
  const configHome = process.env['XDG_CONFIG_HOME'] ?? join(homedir(), '.config');
  return delugeFolders(configHome, '/').map((folder) => join(folder, 'auth'));
}

interface Waiting {
  readonly resolve: (message: readonly Rencodable[]) => void;
  readonly reject: (error: AutotorrentError) => void;
}

class DaemonRpc implements DelugeRpc {
  readonly endpoint: Endpoint;
  readonly #host: string;
  readonly #port: number;
  readonly #address: DelugeAddress;
  readonly #authFiles: readonly string[];
  /** Auth files that gave no account, and why. */
  #useless: string[] = [];
  #connection: Promise<Connection> | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    endpoint: Endpoint,
    { host, port }: { readonly host: string; readonly port: number },
    address: DelugeAddress,
    authFiles: readonly string[],
  ) {
    this.endpoint = endpoint;
    this.#host = host;
    this.#port = port;
    this.#address = address;
    this.#authFiles = authFiles;
  }

  calls(calls: readonly DelugeCall[]): Promise<DelugeAnswer[]> {
    const turn = this.#last.then(async () => {
      // One that ended while nothing was asked: the daemon was restarted, or has had enough of it.
      if ((await this.#connection?.catch(() => undefined))?.hasEnded === true) await this.close();
      this.#connection ??= this.#connected();
      try {
        const connection = await this.#connection;
        return await connection.request(calls);
      } catch (error) {
        // What a connection left unanswered could be taken for the answer to another request.
        await this.close();
        throw error;
      }
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async learnMethods(): Promise<void> {}

  async close(): Promise<void> {
    const connection = this.#connection;
    this.#connection = undefined;
    (await connection?.catch(() => undefined))?.end();
  }

  async #connected(): Promise<Connection> {
    const connection = await Connection.open(this.endpoint, this.#host, this.#port);
    try {
      let refused: DelugeError | undefined;
      for await (const { username, password } of this.#accounts()) {
        const [answer] = await connection.request([{ method: 'daemon.login', args: [username, password] }], {
          client_version: CLIENT_VERSION,
        });
        if (answer === undefined || !('error' in answer)) return connection;
        refused = answer.error;
        if (!BAD_LOGINS.has(refused.type)) break;
      }
      throw refused === undefined ? this.#noAccount() : this.#refused(refused);
    } catch (error) {
      connection.end();
      throw error;
    }
  }

  /** The one of the configuration; else those of the auth files, of which an older one may be left from another daemon. */
  async *#accounts(): AsyncGenerator<{ readonly username: string; readonly password: string }> {
    const { username, password = '' } = this.#address;
    if (username !== undefined) {
      yield { username, password };
      return;
    }
    this.#useless = [];
    for (const file of this.#authFiles) {
      try {
        const account = accountIn(await readFile(file, 'utf8'));
        if (account === undefined) this.#useless.push(`${file} has none`);
        else yield account;
      } catch (error) {
        const why = errnoOf(error) === 'ENOENT' ? 'is not there' : `cannot be read (${messageOf(error)})`;
        this.#useless.push(`${file} ${why}`);
      }
    }
  }

  #noAccount(): AutotorrentError {
    const looked = this.#useless.map((file) => `; ${file}`).join('');
    const hint = `Add username and password to the [client] section${looked}.`;
    return failure(this.endpoint, 'wants a user name and a password', hint);
  }

  #refused({ type, message }: DelugeError): AutotorrentError {
    if (BAD_LOGINS.has(type)) {
      return failure(this.endpoint, `refused the user name and password: ${quoted(message)}`, CORRECT);
    }
    if (type === 'IncompatibleClient')
      return failure(this.endpoint, 'is of a version that is not known: 2.0 and later are');
    return failure(this.endpoint, `refused the login: ${quoted(message)}`);
  }
}

/** One TLS connection: what was sent and waits for its answer. */
class Connection {
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

  static open(endpoint: Endpoint, host: string, port: number): Promise<Connection> {
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
        resolve(new Connection(endpoint, socket));
      });
    });
  }

  get hasEnded(): boolean {
    return this.#failed !== undefined;
  }

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
    // It also tells of events, to those who asked for them.
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
