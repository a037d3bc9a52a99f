/**
 * Requests over HTTP or HTTPS, one connection a call. Redirects are not followed: a client's API never redirects, and
 * following one would hand its password to whoever answers.
 */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { AutotorrentError } from '../../errors.ts';
import { shownUrl } from '../../shown-url.ts';
import type { Allowance } from './allowance.ts';
import { Collected } from './collected.ts';
import { dial, type Target } from './dial.ts';
import {
  allowedOf,
  connectionFailure,
  cutOff,
  type Endpoint,
  type Exchange,
  failure,
  type Reply,
  timedOut,
  tooLong,
} from './exchange.ts';

/** Bytes of all headers of a reply. */
const MAX_HEADER = 16 * 1024;

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** The user name and password of a URL, percent-decoded; undefined where it has none. */
export function credentialsOf(url: URL): Credentials | undefined {
  if (url.username === '' && url.password === '') return undefined;
  return { username: decoded(url.username), password: decoded(url.password) };
}

/** The user name and password of the configuration, completed from its URL; undefined where neither has any. */
export function credentialsFrom(url: URL, { username, password }: Partial<Credentials>): Credentials | undefined {
  const own = credentialsOf(url);
  if (username === undefined && password === undefined) return own;
  return { username: username ?? own?.username ?? '', password: password ?? own?.password ?? '' };
}

/** Parses a URL; `of`: whose address it should be, with its article. @throws AutotorrentError('CONFIG') for a URL that is not HTTP's */
export function httpAddress(url: string, of: string, hint: string): URL {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed?.protocol === 'http:' || parsed?.protocol === 'https:') return parsed;
  throw new AutotorrentError('CONFIG', `client: url: ${shownUrl(url)} is no address of ${of}`, { hint });
}

/** Percent-decodes `text`; gives it as it is where that is impossible (`50%off`). */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export interface HttpRequest {
  readonly method: 'GET' | 'POST';
  /** With its query. */
  readonly path: string;
  readonly body?: Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  /** Of the reply. Default: `SHORT`. */
  readonly allowed?: Allowance | undefined;
}

/** Sends requests to one host. @throws AutotorrentError('CLIENT') */
export type HttpSender = (request: HttpRequest) => Promise<Reply>;

/** Sends bodies by POST to the path of `url`. */
export function httpExchange(url: URL, credentials: Credentials | undefined, endpoint: Endpoint): Exchange {
  const send = httpSender(url, credentials, endpoint);
  const path = `${url.pathname}${url.search}`;
  return async (body, headers = {}, allowed) => await send({ method: 'POST', path, body, headers, allowed });
}

/** Where an HTTP address leads. */
export function httpTarget(url: URL): Extract<Target, { readonly host: string }> {
  const port = url.port === '' ? defaultPortOf(url) : Number(url.port);
  return { host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port };
}

const defaultPortOf = ({ protocol }: URL): number => (protocol === 'https:' ? 443 : 80);

/** Sends to the host of `url`, whose path it ignores. */
export function httpSender(url: URL, credentials: Credentials | undefined, endpoint: Endpoint): HttpSender {
  const isSecure = url.protocol === 'https:';
  const send = isSecure ? httpsRequest : httpRequest;
  const { host, port } = httpTarget(url);
  const defaultPort = defaultPortOf(url);
  const authorization =
    credentials === undefined
      ? {}
      : {
          authorization: `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`,
        };
  return async ({ method, path, body = Buffer.alloc(0), headers = {}, allowed }) => {
    const deadline = performance.now() + endpoint.timeoutMs;
    const signal = AbortSignal.timeout(endpoint.timeoutMs);
    try {
      const socket = await dial({ host, port }, endpoint, signal);
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        const request = send({
          host,
          port,
          defaultPort,
          path,
          method,
          createConnection: () => (isSecure ? overTls(socket, host) : socket),
          signal,
          maxHeaderSize: MAX_HEADER,
          headers: {
            // Without a word of it, a proxy may compress.
            'accept-encoding': 'identity',
            ...authorization,
            ...headers,
            'content-length': body.length,
            connection: 'close',
          },
        });
        request.on('response', resolve);
        // Once the response is there, this is ignored: its stream shows whether it is whole, and it may come before the client
        // has read the request.
        request.on('error', reject);
        request.end(body);
      });
      return await replyOf(response, endpoint, allowedOf(endpoint, allowed), deadline);
    } catch (error) {
      throw signal.aborted ? timedOut(endpoint, error) : connectionFailure(endpoint, error);
    }
  };
}

function overTls(socket: Socket, host: string): Socket {
  // Whatever the environment says (NODE_TLS_REJECT_UNAUTHORIZED=0).
  return connectTls({ socket, host, servername: isIP(host) === 0 ? host : '', rejectUnauthorized: true });
}

async function replyOf(
  response: IncomingMessage,
  endpoint: Endpoint,
  allowed: Allowance,
  deadline: number,
): Promise<Reply> {
  const status = response.statusCode ?? 0;
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(response.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join('\n') : value;
  }
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') {
    response.destroy();
    throw failure(
      endpoint,
      'answered in a compressed form that it was not asked for',
      'See which proxy compresses it.',
    );
  }
  const collected = new Collected(allowed.bytes);
  const reply = (): Reply => ({ status, headers, body: collected.bytes, allowed, deadline });
  for await (const chunk of response as AsyncIterable<Buffer>) {
    try {
      collected.add(chunk);
    } catch (error) {
      response.destroy();
      // The status says what is wrong; a long page says no more.
      if (status !== 200) return reply();
      throw tooLong(endpoint, allowed.bytes, error);
    }
  }
  if (!response.complete) throw cutOff(endpoint);
  return reply();
}
