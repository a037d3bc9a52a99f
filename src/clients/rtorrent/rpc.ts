/** rTorrent's end of the wire: which transport a URL means, and calls, one by one or many in a request. */
import { AutotorrentError } from '../../errors.ts';
import { shownUrl } from '../../shown-url.ts';
import { type Allowance, SHORT, sumOf, times } from '../wire/allowance.ts';
import { byWeight } from '../wire/batches.ts';
import {
  type ClientOptions,
  type Endpoint,
  type Exchange,
  endpointOf,
  failure,
  quoted,
  statusFailure,
  unreadable,
  wrongFormat,
} from '../wire/exchange.ts';
import { credentialsOf, httpAddress, httpExchange } from '../wire/http.ts';
import { scgiExchange, scgiTarget } from '../wire/scgi.ts';
import { inSlices } from '../wire/slices.ts';
import { encodeCall, faultOf, replySteps, XmlRpcFault, type XmlRpcParam } from '../wire/xml-rpc.ts';
import { isNoSuchTorrent } from './texts.ts';
import { integer, listOf } from './values.ts';

export interface RtorrentCall {
  readonly method: string;
  readonly params?: readonly XmlRpcParam[];
  /** Of its answer, beside `AN_ANSWER`. */
  readonly beside?: Allowance;
}

export interface RtorrentRpc {
  readonly endpoint: Endpoint;
  /** Gives the value of one call; `allowed`: of its answer. @throws AutotorrentError('CLIENT') also for a fault */
  call(method: string, params: readonly XmlRpcParam[], allowed?: Allowance): Promise<unknown>;
  /** Does the same for a request that may be longer than rTorrent's limit: it raises that where it must. */
  callLarge(method: string, params: readonly XmlRpcParam[]): Promise<unknown>;
  /** Makes the calls in as few requests as rTorrent's limit allows: the value of each, or the error that it alone met. */
  calls(calls: readonly RtorrentCall[]): Promise<unknown[]>;
  /**
   * Makes calls on each torrent, by its upper-case info hash. Gives for each torrent its values, or the first error that
   * it met, or undefined where rTorrent does not have it.
   */
  onTorrents(asked: readonly TorrentCalls[]): Promise<(readonly unknown[] | AutotorrentError | undefined)[]>;
  /** Makes the same calls on every torrent. @throws AutotorrentError('CLIENT') where one of them fails */
  perTorrent(hashes: readonly string[], calls: readonly RtorrentCall[]): Promise<(readonly unknown[] | undefined)[]>;
}

export interface TorrentCalls {
  readonly hash: string;
  /** Without the info hash, which goes before their own parameters. */
  readonly calls: readonly RtorrentCall[];
}

/** Bytes of XML in a request of several calls. rTorrent's own limit is 512 KiB; it serves nobody else meanwhile. */
export const REQUEST_BYTES = 256 * 1024;
/** xmlrpc-c's fault code. */
const NO_SUCH_METHOD = -506;
/** Bytes of XML that a call in `system.multicall` takes beside its parameters. */
const CALL_BYTES = 320;
/** In the answer of `system.multicall`: a value or a fault, in a list of its own. A path takes 4 KiB. */
const AN_ANSWER: Allowance = { bytes: 8192, values: 4, lists: 2 };

/** Does not connect yet. @throws AutotorrentError('CONFIG') for a URL of no known form */
export function connectRtorrent(url: string, options: ClientOptions): RtorrentRpc {
  const endpoint = endpointOf('rTorrent', shownUrl(url), options);
  return new Rpc(endpoint, exchangeOf(url, endpoint));
}

function exchangeOf(url: string, endpoint: Endpoint): Exchange {
  if (/^scgi:\/\//i.test(url)) return scgiExchange(scgiTarget(url), endpoint);
  const parsed = httpAddress(
    url,
    'an rTorrent',
    'Write scgi://host:port, scgi:///path/to.socket or http(s)://user:password@host/RPC2.',
  );
  if (parsed.pathname === '/') parsed.pathname = '/RPC2';
  return httpExchange(parsed, credentialsOf(parsed), endpoint);
}

class Rpc implements RtorrentRpc {
  readonly endpoint: Endpoint;
  readonly #exchange: Exchange;

  constructor(endpoint: Endpoint, exchange: Exchange) {
    this.endpoint = endpoint;
    this.#exchange = exchange;
  }

  call(method: string, params: readonly XmlRpcParam[], allowed?: Allowance): Promise<unknown> {
    return this.#send(method, encodeCall(method, params), allowed);
  }

  async callLarge(method: string, params: readonly XmlRpcParam[]): Promise<unknown> {
    const body = encodeCall(method, params);
    const limit = integer(this, await this.call('network.xmlrpc.size_limit', []));
    // Left raised: another request may rely on it by the time this one is answered.
    if (body.length >= limit) await this.call('network.xmlrpc.size_limit.set', ['', body.length + 4096]);
    return this.#send(method, body);
  }

  async calls(calls: readonly RtorrentCall[]): Promise<unknown[]> {
    const values: unknown[] = [];
    for (const some of byWeight(calls, REQUEST_BYTES, ({ params = [] }) => CALL_BYTES + sizeOf(params))) {
      const all = some.map(({ method, params = [] }) => ({ methodName: method, params }));
      const allowed = sumOf(SHORT, times(all.length, AN_ANSWER), ...some.flatMap(({ beside }) => beside ?? []));
      const answers = listOf(this, await this.call('system.multicall', [all], allowed));
      if (answers.length !== all.length) throw failure(this.endpoint, 'answered fewer calls than it was asked');
      for (const [i, answer] of answers.entries()) {
        const fault = faultOf(answer);
        values.push(fault === undefined ? listOf(this, answer)[0] : this.#refused(some[i]?.method ?? '', fault));
      }
    }
    return values;
  }

  async onTorrents(asked: readonly TorrentCalls[]): Promise<(readonly unknown[] | AutotorrentError | undefined)[]> {
    const all = asked.flatMap(({ hash, calls }) =>
      calls.map(({ params = [], ...call }) => ({ ...call, params: [hash, ...params] })),
    );
    const answers = await this.calls(all);
    let at = 0;
    return asked.map(({ calls }) => {
      const values = answers.slice(at, (at += calls.length));
      const error = values.find((value) => value instanceof AutotorrentError);
      return error === undefined ? values : isNoSuchTorrent(error.cause) ? undefined : error;
    });
  }

  async perTorrent(
    hashes: readonly string[],
    calls: readonly RtorrentCall[],
  ): Promise<(readonly unknown[] | undefined)[]> {
    const answers = await this.onTorrents(hashes.map((hash) => ({ hash, calls })));
    return answers.map((answer) => {
      if (answer instanceof AutotorrentError) throw answer;
      return answer;
    });
  }

  async #send(method: string, body: Buffer, allowed?: Allowance): Promise<unknown> {
    const reply = await this.#exchange(body, { 'content-type': 'text/xml' }, allowed);
    if (reply.status !== 200) throw statusFailure(this.endpoint, reply);
    if (!/^\s*<(?:\?xml|methodResponse)/.test(reply.body.toString('latin1', 0, 256))) {
      throw wrongFormat(this.endpoint, reply.body, 'XML-RPC');
    }
    try {
      const value = await inSlices(replySteps(reply.body, reply.allowed), reply.deadline);
      this.endpoint.listener?.confirm();
      return value;
    } catch (error) {
      if (error instanceof AutotorrentError) throw error;
      if (error instanceof XmlRpcFault) throw this.#refused(method, error);
      throw unreadable(this.endpoint, 'XML-RPC that is broken or cut off', error);
    }
  }

  #refused(method: string, fault: XmlRpcFault): AutotorrentError {
    if (fault.code === NO_SUCH_METHOD) {
      return failure(
        this.endpoint,
        `does not know ${method}: it is no rTorrent, or one older than 0.9`,
        undefined,
        fault,
      );
    }
    return failure(this.endpoint, `refused ${method}: ${quoted(fault.message)}`, undefined, fault);
  }
}

/** Bytes of XML that `params` take at most, about. */
function sizeOf(params: readonly XmlRpcParam[]): number {
  let size = 0;
  for (const param of params) {
    const text = typeof param === 'string' ? param : '';
    size += 40 + (Buffer.isBuffer(param) ? Math.ceil((param.length * 4) / 3) : Buffer.byteLength(text) * 2);
  }
  return size;
}
