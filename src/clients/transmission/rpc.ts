/**
 * Transmission's end of the wire: `@ctrl/transmission`'s calls over a transport of ours.
 *
 * The package's own `request` (7.4.0) has no bound on a reply, follows redirects, asks for ever where every answer is
 * 409, and turns every network error into a TypeError (it reads `error.response.status` where there is no response).
 */
import { Transmission } from '@ctrl/transmission';
import type { AutotorrentError } from '../../errors.ts';
import { shownUrl } from '../../shown-url.ts';
import type { Allowance } from '../wire/allowance.ts';
import {
  type ClientOptions,
  type Endpoint,
  type Exchange,
  endpointOf,
  failure,
  quoted,
  type Reply,
  statusFailure,
} from '../wire/exchange.ts';
import { credentialsFrom, httpAddress, httpExchange } from '../wire/http.ts';
import { isRecord, jsonIn } from '../wire/json.ts';
import { SUCCESS } from './texts.ts';

export interface TransmissionAddress {
  readonly url: string;
  readonly username?: string;
  readonly password?: string;
}

/** Does not connect yet. @throws AutotorrentError('CONFIG') for a URL that is not HTTP's */
export function connectTransmission(address: TransmissionAddress, options: ClientOptions): TransmissionRpc {
  const { url } = address;
  const parsed = httpAddress(url, 'a Transmission', 'Write http://host:9091/transmission/rpc.');
  // People copy the address of the web interface.
  parsed.pathname = parsed.pathname.replace(/\/transmission(?:\/web)?\/?$/, '/transmission/rpc');
  if (parsed.pathname === '/') parsed.pathname = '/transmission/rpc';
  const credentials = credentialsFrom(parsed, address);
  const endpoint = endpointOf('Transmission', shownUrl(url), options);
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

  /**
   * `_data` is an object with `result` and `arguments`, neither of them checked further. `allowed`, which the package does
   * not know: of the reply; if it is absent, `SHORT`.
   */
  override async request<T>(method: string, args: unknown = {}, allowed?: Allowance): Answer<T> {
    const body = Buffer.from(JSON.stringify({ method, arguments: args }));
    let reply = await this.#send(body, allowed);
    // Transmission gives its session id with a refusal (409): to the first request, and to the first after its restart.
    if (reply.status === 409 && reply.headers['x-transmission-session-id'] !== undefined) {
      this.#session = reply.headers['x-transmission-session-id'];
      reply = await this.#send(body, allowed);
    }
    if (reply.status !== 200) throw this.#refused(reply);
    const data = (await this.#parsed(reply)) as T;
    this.endpoint.listener?.confirm();
    return Object.assign(new Response(null), { _data: data });
  }

  #send(body: Buffer, allowed: Allowance | undefined): Promise<Reply> {
    const session = this.#session === '' ? {} : { 'x-transmission-session-id': this.#session };
    return this.#exchange(body, { 'content-type': 'application/json', ...session }, allowed);
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

  /** Checks `result` alone: whoever reads more checks that. */
  async #parsed(reply: Reply): Promise<Record<string, unknown>> {
    const value = await jsonIn(this.endpoint, reply);
    if (!isRecord(value) || typeof value['result'] !== 'string') {
      throw failure(this.endpoint, 'answered with JSON that is not that of a Transmission');
    }
    return value;
  }
}

/** The `arguments` of a reply whose result is `success`. @throws AutotorrentError('CLIENT') with Transmission's own words otherwise */
export function argumentsOf(endpoint: Endpoint, reply: unknown): Record<string, unknown> {
  if (!isRecord(reply) || typeof reply['result'] !== 'string') throw failure(endpoint, 'answered without a result');
  if (reply['result'] !== SUCCESS) throw failure(endpoint, `refused: ${quoted(reply['result'])}`);
  return isRecord(reply['arguments']) ? reply['arguments'] : {};
}
