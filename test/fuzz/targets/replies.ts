/** Replies of clients over HTTP and SCGI, each over a real connection, and what reads their bodies as JSON. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { type Exchange, endpointOf, statusFailure } from '../../../src/clients/wire/exchange.ts';
import { httpExchange } from '../../../src/clients/wire/http.ts';
import { jsonIn } from '../../../src/clients/wire/json.ts';
import { scgiExchange } from '../../../src/clients/wire/scgi.ts';
import { AutotorrentError } from '../../../src/errors.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import type { FuzzTarget } from '../target.ts';

const endpoint = endpointOf('Client', 'here', { timeoutMs: 2000, maxReplyBytes: 16_384 });
const JSON_BODY = '{"result": "success", "arguments": {"torrents": [{"name": "a\\u001b", "hashString": "00"}]}}';
let answer: Buffer = Buffer.alloc(0);
let exchanges: Promise<readonly [http: Exchange, scgi: Exchange]> | undefined;

/** Sends `answer` to whoever asks, and closes. */
async function listen(
  where: { readonly path: string } | { readonly host: string; readonly port: number },
): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end(answer));
  });
  server.listen(where);
  await once(server, 'listening');
  server.unref();
  return server;
}

async function start(): Promise<readonly [Exchange, Exchange]> {
  const path = join(temporaryFolder('replies'), 'scgi');
  await listen({ path });
  const { port } = (await listen({ host: '127.0.0.1', port: 0 })).address() as AddressInfo;
  const url = new URL(`http://127.0.0.1:${port}/`);
  return [httpExchange(url, undefined, endpoint), scgiExchange({ path }, endpoint)];
}

export const target: FuzzTarget = {
  seeds: () => [
    Buffer.from(
      `HTTP/1.1 200 OK\r\nContent-Length: ${JSON_BODY.length}\r\nContent-Type: application/json\r\n\r\n${JSON_BODY}`,
    ),
    Buffer.from(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n2\r\n1}\r\n0\r\n\r\n`),
    Buffer.from(
      'HTTP/1.0 409 Conflict\r\nX-Transmission-Session-Id: abc\r\nSet-Cookie: SID=x; path=/\r\nSet-Cookie: b=c\r\n\r\n',
    ),
    Buffer.from(`Status: 200 OK\r\nContent-Type: text/xml\r\nContent-Length: ${JSON_BODY.length}\r\n\r\n${JSON_BODY}`),
    Buffer.from('Content-Length: 2\r\n\r\n[]'),
  ],
  tokens: [
    '\r\n',
    '\r\n\r\n',
    'Content-Length: ',
    'Content-Length: 999999999999999',
    'Transfer-Encoding: chunked\r\n',
    'Status: 999',
    ': ',
    'HTTP/1.1 ',
    'HTTP/1.1 100 Continue\r\n\r\n',
    '0\r\n\r\n',
    'ffffffff\r\n',
    '{',
    '}',
    '[',
    ']',
    '"',
    '__proto__',
    ' 401 ',
    '\0',
  ],
  limitMs: 4000,
  async run(input) {
    exchanges ??= start();
    answer = input;
    for (const exchange of await exchanges) {
      try {
        const reply = await exchange(Buffer.from('ask'));
        assert.ok(Number.isInteger(reply.status) && reply.body.length <= endpoint.maxReplyBytes + 65_536);
        assert.ok(statusFailure(endpoint, reply).message.length < 2000);
        await jsonIn(endpoint, reply, '{[');
      } catch (error) {
        if (!(error instanceof AutotorrentError && error.code === 'CLIENT')) throw error;
        assert.ok(error.message.length < 2000, 'a message of bounded length');
      }
    }
  },
};
