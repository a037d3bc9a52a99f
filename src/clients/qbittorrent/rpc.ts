/**
 * qBittorrent's end of the wire: `@ctrl/qbittorrent`'s calls over a transport of ours, and its login.
 *
 * The package's own transport (9.14.0) has no bound on a reply, follows redirects with the session's cookie, and tells of
 * neither a ban nor a refused host. Logging in goes by a cookie (`SID`, since 5.2 another name); a session that has ended
 * answers 403. Seen with 4.5.2 (API 2.8.19); facts on 5.x are from its documentation.
 */
import { QBittorrent } from '@ctrl/qbittorrent';
import type { AutotorrentError } from '../../errors.ts';
import { shownUrl } from '../../shown-url.ts';
import type { Allowance } from '../wire/allowance.ts';
import {
  type ClientOptions,
  type Endpoint,
  endpointOf,
  failure,
  type Reply,
  statusFailure,
  wrongFormat,
} from '../wire/exchange.ts';
import { type Credentials, credentialsFrom, type HttpSender, httpAddress, httpSender } from '../wire/http.ts';
import { jsonIn } from '../wire/json.ts';
import { FAILS, isBan, OK } from './texts.ts';

export interface QbittorrentAddress {
  readonly url: string;
  readonly username?: string;
  readonly password?: string;
}

/** Does not connect yet. @throws AutotorrentError('CONFIG') for a URL that is not HTTP's */
export function connectQbittorrent(address: QbittorrentAddress, options: ClientOptions): QbittorrentRpc {
  const { url } = address;
  const parsed = httpAddress(url, 'a qBittorrent', 'Write http://host:8080, the address of its web interface.');
  const credentials = credentialsFrom(parsed, address);
  const endpoint = endpointOf('qBittorrent', shownUrl(url), options);
  return new QbittorrentRpc(endpoint, parsed, credentials);
}

/** The status 409: since 5.2 also that of a torrent that it refuses or has. */
export class Conflict extends Error {}

export class QbittorrentRpc extends QBittorrent {
  readonly endpoint: Endpoint;
  readonly #base: string;
  readonly #origin: string;
  readonly #send: HttpSender;
  readonly #credentials: Credentials | undefined;
  #cookie = '';
  #loggedIn = false;
  #login: Promise<boolean> | undefined;

  constructor(endpoint: Endpoint, url: URL, credentials: Credentials | undefined) {
    super({ baseUrl: endpoint.shown, timeout: endpoint.timeoutMs });
    this.endpoint = endpoint;
    this.#base = `${url.pathname.replace(/\/+$/, '')}/api/v2`;
    this.#origin = url.origin;
    this.#send = httpSender(url, undefined, endpoint);
    this.#credentials = credentials;
  }

  /** Does not check that the answer is a `T`: whoever reads it checks it. `allowed`: of the reply; if absent, `SHORT`. */
  // oxlint-disable-next-line max-params -- as the package has it
  override async request<T>(
    path: string,
    method: 'GET' | 'POST',
    params?: Record<string, string | number>,
    body?: URLSearchParams | FormData,
    headers: Record<string, string> = {},
    isJson = true,
    allowed?: Allowance,
  ): Promise<T> {
    const pairs = Object.entries(params ?? {}).map(([key, value]): [string, string] => [key, String(value)]);
    const query = pairs.length === 0 ? '' : `?${new URLSearchParams(pairs).toString()}`;
    const form = body === undefined ? undefined : new Response(body);
    const type = form?.headers.get('content-type');
    const request = {
      method,
      path: `${this.#base}${path}${query}`,
      body: form === undefined ? Buffer.alloc(0) : Buffer.from(await form.arrayBuffer()),
      headers: { ...headers, ...(type === null || type === undefined ? {} : { 'content-type': type }) },
      allowed,
    };
    if (!this.#loggedIn && this.#credentials !== undefined) await this.login();
    let reply = await this.#sent(request);
    // A session ends with qBittorrent, and after an hour without a call. Without one, this address may need none.
    if (reply.status === 403 && this.#credentials !== undefined) {
      this.#loggedIn = false;
      await this.login();
      reply = await this.#sent(request);
    }
    if (!isDone(reply)) throw this.#refused(reply);
    if (/^\s*<(?:!doctype|html)/i.test(reply.body.toString('latin1', 0, 256))) {
      throw wrongFormat(this.endpoint, reply.body, 'its API');
    }
    const value = isJson ? await this.#parsed(reply) : reply.body.toString('utf8');
    this.endpoint.listener?.confirm();
    return value as T;
  }

  /** Logs in once for all calls that wait for it: each attempt counts towards a ban. */
  override login(): Promise<boolean> {
    this.#login ??= this.#logIn().finally(() => {
      this.#login = undefined;
    });
    return this.#login;
  }

  async #logIn(): Promise<boolean> {
    const { username = '', password = '' } = this.#credentials ?? {};
    const reply = await this.#sent({
      method: 'POST',
      path: `${this.#base}/auth/login`,
      body: Buffer.from(new URLSearchParams({ username, password }).toString()),
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
    const said = reply.body.toString('utf8').trim();
    if (reply.status === 403 && isBan(said)) {
      throw failure(
        this.endpoint,
        'has banned this address after failed logins (403)',
        'Wait for the end of the ban (an hour, if its settings say nothing else), or restart it.',
      );
    }
    if (reply.status === 200 && said === FAILS) {
      throw failure(this.endpoint, 'refused the user name and password', 'Correct them in the [client] section.');
    }
    if (!isDone(reply)) throw this.#refused(reply);
    if (reply.status === 200 && said !== OK) throw wrongFormat(this.endpoint, reply.body, 'its API');
    const [, cookie] = /^([^=;\s]+=[^;]*)/m.exec(reply.headers['set-cookie'] ?? '') ?? [];
    // It gives none where its settings let this address in without a password.
    this.#cookie = cookie ?? '';
    this.#loggedIn = true;
    return true;
  }

  #sent(request: Parameters<HttpSender>[0]): Promise<Reply> {
    // It compares Referer and Origin with the host, against forged requests.
    const own = { referer: this.#origin, origin: this.#origin };
    const cookie = this.#cookie === '' ? {} : { cookie: this.#cookie };
    return this.#send({ ...request, headers: { ...own, ...cookie, ...request.headers } });
  }

  #refused(reply: Reply): AutotorrentError {
    if (reply.status === 401) {
      return failure(
        this.endpoint,
        'refused the user name and password (401)',
        'Correct them in the [client] section; or, if it does not know this host name, add it to its `Server domains`.',
      );
    }
    if (reply.status === 403) {
      return failure(
        this.endpoint,
        'forbids the access (403): it wants a user name and a password',
        'Add username and password to the [client] section, or let this address in without (its settings, Web UI).',
      );
    }
    if (reply.status === 409) {
      return failure(this.endpoint, 'finds that this cannot be done (409)', undefined, new Conflict());
    }
    if (reply.status === 415) return failure(this.endpoint, 'finds that the torrent is none (415)');
    return statusFailure(this.endpoint, reply);
  }

  async #parsed(reply: Reply): Promise<unknown> {
    if (reply.body.length === 0) return undefined; // what answers nothing is asked as JSON all the same
    return await jsonIn(this.endpoint, reply, '{[');
  }
}

/** Whether it did what it was asked: since 5.2, 204 stands for an answer without a text, and 202 for work that goes on. */
function isDone({ status }: Reply): boolean {
  return status === 200 || status === 202 || status === 204;
}
