/** rTorrent's end of the wire: which transport a URL means, calls one and many, and checked values. */
import { AutotorrentError } from '../errors.ts';
import {
  type ClientOptions,
  type Endpoint,
  type Exchange,
  endpointOf,
  failure,
  quoted,
  statusFailure,
  withoutCredentials,
  wrongFormat,
} from './exchange.ts';
import { credentialsOf, httpExchange } from './http.ts';
import { scgiExchange, scgiTarget } from './scgi.ts';
import { decodeReply, encodeCall, faultOf, XmlRpcFault, type XmlRpcParam } from './xml-rpc.ts';

export interface RtorrentCall {
  readonly method: string;
  readonly params?: readonly XmlRpcParam[];
}

export interface RtorrentRpc {
  readonly endpoint: Endpoint;
  /** Throws `AutotorrentError('CLIENT')`, also for a fault. */
  call(method: string, params: readonly XmlRpcParam[]): Promise<unknown>;
  /** The same for a request that may be longer than rTorrent's limit, which is raised where it must be. */
  callLarge(method: string, params: readonly XmlRpcParam[]): Promise<unknown>;
  /** Every call on every torrent (upper-case info hashes), in one request; undefined for a torrent that is not there. */
  perTorrent(hashes: readonly string[], calls: readonly RtorrentCall[]): Promise<(readonly unknown[] | undefined)[]>;
}

/** Throws `AutotorrentError('CONFIG')` for a URL of no known form. */
export function connectRtorrent(url: string, options: ClientOptions): RtorrentRpc {
  const endpoint = endpointOf('rTorrent', withoutCredentials(url), options);
  return new Rpc(endpoint, exchangeOf(url, endpoint));
}

function exchangeOf(url: string, endpoint: Endpoint): Exchange {
  if (/^scgi:\/\//i.test(url)) return scgiExchange(scgiTarget(url), endpoint);
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')) {
    throw new AutotorrentError('CONFIG', `client: url: ${withoutCredentials(url)} is no address of an rTorrent`, {
      hint: 'Write scgi://host:port, scgi:///path/to.socket or http(s)://user:password@host/RPC2.',
    });
  }
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

  call(method: string, params: readonly XmlRpcParam[]): Promise<unknown> {
    return this.#send(method, encodeCall(method, params));
  }

  async callLarge(method: string, params: readonly XmlRpcParam[]): Promise<unknown> {
    const body = encodeCall(method, params);
    const limit = integer(this, await this.call('network.xmlrpc.size_limit', []));
    // Left raised: another request may rely on it by the time this one is answered.
    if (body.length >= limit) await this.call('network.xmlrpc.size_limit.set', ['', body.length + 4096]);
    return this.#send(method, body);
  }

  async perTorrent(
    hashes: readonly string[],
    calls: readonly RtorrentCall[],
  ): Promise<(readonly unknown[] | undefined)[]> {
    if (hashes.length === 0) return [];
    const all = hashes.flatMap((hash) =>
      calls.map(({ method, params = [] }) => ({ methodName: method, params: [hash, ...params] })),
    );
    const answers = listOf(this, await this.call('system.multicall', [all]));
    if (answers.length !== all.length) throw failure(this.endpoint, 'answered fewer calls than it was asked');
    return hashes.map((_, i) => {
      const values: unknown[] = [];
      for (const [j, answer] of answers.slice(i * calls.length, (i + 1) * calls.length).entries()) {
        const fault = faultOf(answer);
        if (fault !== undefined && isNotFound(fault)) return undefined;
        if (fault !== undefined) throw this.#refused(calls[j]?.method ?? '', fault);
        values.push(listOf(this, answer)[0]);
      }
      return values;
    });
  }

  async #send(method: string, body: Buffer): Promise<unknown> {
    const reply = await this.#exchange(body, { 'content-type': 'text/xml' });
    if (reply.status !== 200) throw statusFailure(this.endpoint, reply);
    if (!/^\s*<(?:\?xml|methodResponse)/.test(reply.body.toString('latin1', 0, 256))) {
      throw wrongFormat(this.endpoint, reply.body, 'XML-RPC');
    }
    try {
      return decodeReply(reply.body);
    } catch (error) {
      if (error instanceof XmlRpcFault) throw this.#refused(method, error);
      throw failure(
        this.endpoint,
        'answered with XML-RPC that is broken or cut off',
        'See whether a proxy before it has a limit.',
        error,
      );
    }
  }

  #refused(method: string, fault: XmlRpcFault): AutotorrentError {
    // xmlrpc-c's own codes: -506 no such method, -503 what rTorrent throws from within a command.
    if (fault.faultCode === -506 || fault.faultCode === '-506') {
      return failure(
        this.endpoint,
        `does not know ${method}: it is no rTorrent, or one older than 0.9`,
        undefined,
        fault,
      );
    }
    return failure(this.endpoint, `refused ${method}: ${quoted(fault.faultString)}`, undefined, fault);
  }
}

function isNotFound(fault: XmlRpcFault): boolean {
  return /info-hash/i.test(fault.faultString);
}

interface Checked {
  readonly endpoint: Endpoint;
}

/** An `<i8>` arrives as a string, an `<int>` as a number. */
export function integer({ endpoint }: Checked, value: unknown): number {
  const number = typeof value === 'string' && /^-?\d{1,16}$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isSafeInteger(number)) {
    throw failure(endpoint, 'answered with something else than the number it was asked for');
  }
  return number;
}

export function text({ endpoint }: Checked, value: unknown): string {
  if (typeof value !== 'string') throw failure(endpoint, 'answered with something else than the text it was asked for');
  return value;
}

export function listOf({ endpoint }: Checked, value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw failure(endpoint, 'answered with something else than the list it was asked for');
  return value as readonly unknown[];
}
