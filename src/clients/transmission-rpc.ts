/**
 * Transmission's end of the wire: `@ctrl/transmission`'s calls over a transport of ours.
 *
 * The package's own `request` (7.4.0) has no bound on a reply, follows redirects, asks for ever where every answer is
 * 409, and turns every network error into a TypeError (it reads `error.response.status` where there is no response).
 */
import { Transmission } from '@ctrl/transmission';
import { AutotorrentError } from '../errors.ts';
import {
  type ClientOptions,
  type Endpoint,
  type Exchange,
  endpointOf,
  failure,
  quoted,
  type Reply,
  statusFailure,
  withoutCredentials,
  wrongFormat,
} from './exchange.ts';
import { type Credentials, credentialsOf, httpExchange } from './http.ts';

export interface TransmissionAddress {
  readonly url: string;
  readonly username?: string;
  readonly password?: string;
}

/** Throws `AutotorrentError('CONFIG')` for a URL that is not HTTP's. */
export function connectTransmission(address: TransmissionAddress, options: ClientOptions): TransmissionRpc {
  const { url } = address;
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')) {
    throw new AutotorrentError('CONFIG', `client: url: ${withoutCredentials(url)} is no address of a Transmission`, {
      hint: 'Write http://host:9091/transmission/rpc.',
    });
  }
  // People copy the address of the web interface.
  parsed.pathname = parsed.pathname.replace(/\/transmission(?:\/web)?\/?$/, '/transmission/rpc');
  if (parsed.pathname === '/') parsed.pathname = '/transmission/rpc';
  const own = credentialsOf(parsed);
  const credentials: Credentials | undefined =
    address.username === undefined && address.password === undefined
      ? own
      : { username: address.username ?? own?.username ?? '', password: address.password ?? own?.password ?? '' };
  const endpoint = endpointOf('Transmission', withoutCredentials(url), options);
  return new TransmissionRpc(endpoint, httpExchange(parsed, credentials, endpoint));
}

/** As the package has it. */
type Answer<T> = ReturnType<typeof Transmission.prototype.request<T>>;

export class TransmissionRpc extends Transmission {
  readonly endpoint: Endpoint;
  readonly #exchange: Exchange;
  #session = '';

  constructor(endpoint: Endpoint, exchange: Exchange) {
    super({ baseUrl: endpoint.shown, timeout: endpoint.timeoutMs });
    this.endpoint = endpoint;
    this.#exchange = exchange;
  }

  /** `_data` is an object with `result` and `arguments`, neither of them checked further. */
  override async request<T>(method: string, args: unknown = {}): Answer<T> {
    const body = Buffer.from(JSON.stringify({ method, arguments: args }));
    let reply = await this.#send(body);
    // The session id is asked for by being refused, once a session and again after Transmission restarts.
    if (reply.status === 409 && reply.headers['x-transmission-session-id'] !== undefined) {
      this.#session = reply.headers['x-transmission-session-id'];
      reply = await this.#send(body);
    }
    if (reply.status !== 200) throw this.#refused(reply);
    return Object.assign(new Response(null), { _data: this.#parsed(reply.body) });
  }

  #send(body: Buffer): Promise<Reply> {
    return this.#exchange(body, {
      'content-type': 'application/json',
      ...(this.#session === '' ? {} : { 'x-transmission-session-id': this.#session }),
    });
  }

  #refused(reply: Reply): AutotorrentError {
    if (reply.status === 403) {
      return failure(
        this.endpoint,
        'forbids the access from this address (403)',
        "Add this machine's address to `rpc-whitelist` in Transmission's settings.json.",
      );
    }
    if (reply.status === 421) {
      return failure(
        this.endpoint,
        'forbids the access under this host name (421)',
        "Add the name to `rpc-host-whitelist` in Transmission's settings.json, or use its IP address.",
      );
    }
    if (reply.status === 409) return failure(this.endpoint, 'does not accept the session id that it gave (409)');
    return statusFailure(this.endpoint, reply);
  }

  /** Typed as the package types it: not at all. Whoever reads it checks it. */
  #parsed(body: Buffer) {
    let value;
    try {
      value = JSON.parse(body.toString('utf8'));
    } catch (cause) {
      if (body.subarray(0, 1).toString() === '{') {
        throw failure(this.endpoint, 'answered with JSON that is broken or cut off', undefined, cause);
      }
      throw wrongFormat(this.endpoint, body, 'JSON');
    }
    const checked: unknown = value;
    if (!isRecord(checked) || typeof checked['result'] !== 'string') {
      throw failure(this.endpoint, 'answered with JSON that is not that of a Transmission');
    }
    return value;
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The `arguments` of a reply whose result is `success`; throws with Transmission's own words otherwise. */
export function argumentsOf(endpoint: Endpoint, reply: unknown): Record<string, unknown> {
  if (!isRecord(reply) || typeof reply['result'] !== 'string') throw failure(endpoint, 'answered with nonsense');
  if (reply['result'] !== 'success') throw failure(endpoint, `refused: ${quoted(reply['result'])}`);
  return isRecord(reply['arguments']) ? reply['arguments'] : {};
}
