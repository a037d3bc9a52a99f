/**
 * Deluge through its web interface: `@ctrl/deluge`'s calls over a transport of ours, JSON by JSON.
 *
 * The package's own transport (8.0.0) has no bound on a reply, follows redirects with the session's cookie, and does not
 * look at the errors in answers.
 */
import { Deluge } from '@ctrl/deluge';
import { shownUrl } from '../../shown-url.ts';
import type { Allowance } from '../wire/allowance.ts';
import { inParallel } from '../wire/batches.ts';
import { type ClientOptions, type Endpoint, endpointOf, failure, quoted, statusFailure } from '../wire/exchange.ts';
import { credentialsOf, type HttpSender, httpAddress, httpSender } from '../wire/http.ts';
import { isRecord, jsonIn } from '../wire/json.ts';
import { type DelugeAnswer, type DelugeCall, type DelugeRpc, refusal } from './rpc.ts';

const CALLS_AT_ONCE = 4;
/** `deluge/ui/web/auth.py`: the session is unknown, or has ended. */
const NOT_AUTHENTICATED = 1;

/** Does not connect yet. @throws AutotorrentError('CONFIG') for a URL that is not HTTP's */
export function connectWeb(
  address: { readonly url: string; readonly password?: string },
  options: ClientOptions,
): DelugeRpc {
  const { url } = address;
  const parsed = httpAddress(url, 'a Deluge web interface', 'Write http://host:8112.');
  // The web interface has one password, and no user name.
  const password = address.password ?? credentialsOf(parsed)?.password ?? '';
  return new WebRpc(endpointOf('Deluge', shownUrl(url), options), parsed, password);
}

class WebRpc implements DelugeRpc {
  readonly endpoint: Endpoint;
  readonly #deluge: DelugeOverHttp;
  #connected: Promise<void> | undefined;

  constructor(endpoint: Endpoint, url: URL, password: string) {
    this.endpoint = endpoint;
    this.#deluge = new DelugeOverHttp(endpoint, url, password);
  }

  async calls(calls: readonly DelugeCall[]): Promise<DelugeAnswer[]> {
    this.#connected ??= this.#connect();
    try {
      await this.#connected;
    } catch (error) {
      this.#connected = undefined;
      throw error;
    }
    this.endpoint.listener?.confirm();
    const answers = new Map<DelugeCall, DelugeAnswer>();
    await inParallel(calls, CALLS_AT_ONCE, async (call) => {
      answers.set(call, await this.#deluge.answer(call));
    });
    return calls.map((call) => answers.get(call) ?? { error: { type: '', message: 'no answer' } });
  }

  /** The web interface asks its daemon for its methods when it connects: so it has to connect again. */
  async learnMethods(): Promise<void> {
    await this.#deluge.answer({ method: 'web.disconnect', args: [] });
    this.#connected = this.#connect();
    await this.#connected;
  }

  async close(): Promise<void> {}

  /** Connects the web interface to a daemon: the one it knows, or the first of several that is up. */
  async #connect(): Promise<void> {
    await this.#deluge.login();
    if (await this.#deluge.connected()) return;
    const hosts = await this.#result('web.get_hosts');
    const ids = Array.isArray(hosts) ? hosts.map((host: unknown) => (Array.isArray(host) ? String(host[0]) : '')) : [];
    for (const id of ids) {
      const status = await this.#result('web.get_host_status', id);
      const up = Array.isArray(status) && (status[1] === 'Online' || status[1] === 'Connected');
      if (!up && ids.length > 1) continue;
      await this.#result('web.connect', id).catch(() => undefined);
      if (await this.#deluge.connected()) return;
    }
    throw failure(
      this.endpoint,
      ids.length === 0 ? 'knows no daemon' : 'cannot connect to its daemon',
      'See whether deluged runs, and connect to it once in the web interface (Connection Manager).',
    );
  }

  async #result(method: string, ...args: string[]): Promise<unknown> {
    const answer = await this.#deluge.answer({ method, args });
    if ('error' in answer) throw refusal(this.endpoint, method, answer.error.message);
    return answer.result;
  }
}

class DelugeOverHttp extends Deluge {
  readonly #endpoint: Endpoint;
  readonly #send: HttpSender;
  readonly #path: string;
  #cookie = '';
  #id = 0;

  constructor(endpoint: Endpoint, url: URL, password: string) {
    super({ baseUrl: endpoint.shown, password, timeout: endpoint.timeoutMs });
    this.#endpoint = endpoint;
    this.#send = httpSender(url, undefined, endpoint);
    this.#path = `${url.pathname.replace(/\/+$/, '').replace(/\/json$/, '')}/json`;
  }

  /** Logs in again, once, where the session has ended. */
  async answer({ method, args, allowed }: DelugeCall): Promise<DelugeAnswer> {
    const first = await this.#posted(method, args, allowed);
    if (!('error' in first) || first.error.type !== String(NOT_AUTHENTICATED)) return first;
    await this.login();
    return await this.#posted(method, args, allowed);
  }

  override async login(): Promise<boolean> {
    this.#cookie = '';
    const answer = await this.#posted('auth.login', [this.config.password ?? '']);
    if ('result' in answer && answer.result === true && this.#cookie !== '') return true;
    throw failure(this.#endpoint, 'refused the password of its web interface', 'Correct it in the [client] section.');
  }

  override async connected(): Promise<boolean> {
    const answer = await this.answer({ method: 'web.connected', args: [] });
    return 'result' in answer && answer.result === true;
  }

  async #posted(method: string, params: readonly unknown[], allowed?: Allowance): Promise<DelugeAnswer> {
    const reply = await this.#send({
      method: 'POST',
      path: this.#path,
      body: Buffer.from(JSON.stringify({ method, params, id: ++this.#id })),
      headers: { 'content-type': 'application/json', ...(this.#cookie === '' ? {} : { cookie: this.#cookie }) },
      allowed,
    });
    if (reply.status !== 200) throw statusFailure(this.#endpoint, reply);
    const [, cookie] = /^(_session_id=[^;]+)/m.exec(reply.headers['set-cookie'] ?? '') ?? [];
    if (cookie !== undefined) this.#cookie = cookie;
    const value = await jsonIn(this.#endpoint, reply);
    if (!isRecord(value) || !('result' in value)) {
      throw failure(this.#endpoint, 'answered with JSON that is not that of a Deluge');
    }
    const { result, error } = value;
    if (!isRecord(error)) return { result };
    return { error: { type: String(error['code']), message: quoted(String(error['message'])) } };
  }
}
