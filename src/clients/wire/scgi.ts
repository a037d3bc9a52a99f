/**
 * A request over SCGI (https://python.ca/scgi/protocol.txt), one connection a call: headers as one netstring,
 * `CONTENT_LENGTH` first, then the body. The reply is CGI's: headers, an empty line, a body.
 */
import type { Socket } from 'node:net';
import { AutotorrentError } from '../../errors.ts';
import { shownUrl } from '../../shown-url.ts';
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
  tooLong,
} from './exchange.ts';
import { decoded } from './http.ts';

/** No reply has a longer header; without a bound an endless one would be searched again at each chunk. */
const MAX_HEADER = 16 * 1024;

/** Where `scgi://host:port` or `scgi:///path/to.socket` leads. @throws AutotorrentError('CONFIG') for any other URL */
export function scgiTarget(url: string): Target {
  const rest = url.replace(/^scgi:\/\//i, '');
  if (rest.startsWith('/')) return { path: decoded(rest) };
  const match = /^(?:\[([0-9a-f:.]+)\]|([^/:@[\]]+)):(\d{1,5})\/?$/i.exec(rest);
  const port = Number(match?.[3]);
  if (match === null || port === 0 || port > 65_535) {
    throw new AutotorrentError(
      'CONFIG',
      `client: url: ${shownUrl(url)} is not scgi://host:port or scgi:///path/to.socket`,
    );
  }
  return { host: match[1] ?? match[2] ?? '', port };
}

export function scgiExchange(target: Target, endpoint: Endpoint): Exchange {
  const answer = (socket: Socket, request: Buffer, maxBytes: number): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      const collected = new Collected(maxBytes + MAX_HEADER);
      let header: { end: number; length: number | undefined } | undefined;
      let finished = false;

      function finish(error?: Error): void {
        if (finished) return;
        finished = true;
        socket.destroy();
        if (error === undefined) resolve(collected.bytes);
        else reject(error);
      }

      socket.on('data', (chunk: Buffer) => {
        const before = collected.size;
        try {
          collected.add(chunk);
        } catch (error) {
          return finish(tooLong(endpoint, maxBytes, error));
        }
        // Its end may be split between two chunks.
        if (header === undefined && before < MAX_HEADER) header = headerOf(collected.bytes, Math.max(0, before - 3));
        if (header?.length !== undefined && header.length > maxBytes) return finish(tooLong(endpoint, maxBytes));
        // rTorrent closes the connection after its reply, a proxy may keep it open.
        if (header?.length !== undefined && collected.size >= header.end + header.length) finish();
      });
      // Neither end nor error comes without close; after an error it finds the promise settled.
      socket.on('error', (error) => finish(connectionFailure(endpoint, error)));
      socket.on('end', () => finish());
      socket.on('close', () => finish());
      socket.write(request);
    });
  return async (body, headers = {}, allow) => {
    const allowed = allowedOf(endpoint, allow);
    const deadline = performance.now() + endpoint.timeoutMs;
    let socket: Socket;
    try {
      socket = await dial(target, endpoint, AbortSignal.timeout(endpoint.timeoutMs));
    } catch (error) {
      throw connectionFailure(endpoint, error);
    }
    const received = await answer(socket, scgiRequest(body, headers), allowed.bytes);
    return { ...parsed(received, endpoint), allowed, deadline };
  };
}

function scgiRequest(body: Buffer, headers: Readonly<Record<string, string>>): Buffer {
  const fields = {
    CONTENT_LENGTH: String(body.length),
    SCGI: '1',
    REQUEST_METHOD: 'POST',
    REQUEST_URI: '/RPC2',
    ...(headers['content-type'] === undefined ? {} : { CONTENT_TYPE: headers['content-type'] }),
  };
  const block = Object.entries(fields)
    .map(([name, value]) => `${name}\0${value}\0`)
    .join('');
  return Buffer.concat([Buffer.from(`${Buffer.byteLength(block)}:${block},`), body]);
}

/** `from`: where its end may begin; before that it was looked for already. */
function headerOf(data: Buffer, from = 0): { end: number; length: number | undefined } | undefined {
  const at = data.subarray(0, MAX_HEADER).indexOf('\r\n\r\n', from);
  if (at === -1) return undefined;
  const length = /^content-length:[ \t]*(\d{1,15})[ \t]*$/im.exec(data.toString('latin1', 0, at))?.[1];
  return { end: at + 4, length: length === undefined ? undefined : Number(length) };
}

function parsed(data: Buffer, endpoint: Endpoint): Omit<Reply, 'allowed' | 'deadline'> {
  if (data.length === 0) throw cutOff(endpoint);
  const found = headerOf(data);
  if (found === undefined) {
    if (/^[A-Za-z][A-Za-z0-9-]*:/.test(data.toString('latin1', 0, 100))) throw cutOff(endpoint);
    throw failure(endpoint, 'answered something that is not SCGI', 'See which program listens there.');
  }
  const { end, length = data.length - end } = found;
  if (data.length - end < length) throw cutOff(endpoint);
  const headers: Record<string, string> = {};
  for (const line of data.toString('latin1', 0, end).split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  const status = Number(/^\d{3}/.exec(headers['status'] ?? '200')?.[0] ?? '0');
  return { status, headers, body: data.subarray(end, end + length) };
}
