/** rTorrent's adapter and a server that is no rTorrent: raw sockets that answer anything. */
import assert from 'node:assert/strict';
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, it } from 'node:test';
import { createClient } from '../../../src/clients/create.ts';
import type { ClientOptions } from '../../../src/clients/wire/exchange.ts';
import { scgiTarget } from '../../../src/clients/wire/scgi.ts';

const body = (xml: string, status = '200 OK') => {
  const head = `Status: ${status}\r\nContent-Type: text/xml\r\nContent-Length: ${Buffer.byteLength(xml)}\r\n\r\n`;
  return (socket: Socket): void => void socket.end(head + xml);
};
const value = (xml: string): string =>
  `<?xml version="1.0"?><methodResponse><params><param><value>${xml}</value></param></params></methodResponse>`;

describe('rTorrent over SCGI, where something else answers', () => {
  let server: Server | undefined;
  const sockets = new Set<Socket>();
  afterEach(() => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
    server?.close();
  });

  async function ask(answer: (socket: Socket) => void, options: ClientOptions = {}): Promise<unknown> {
    const listening = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.once('data', () => answer(socket));
    });
    server = listening;
    await new Promise<void>((resolve) => {
      listening.listen(0, '127.0.0.1', resolve);
    });
    const address = listening.address();
    assert.ok(typeof address === 'object' && address !== null);
    return createClient({ client: 'rtorrent', url: `scgi://127.0.0.1:${address.port}` }, options).list();
  }
  const cases: readonly (readonly [string, (socket: Socket) => void, RegExp, ClientOptions?])[] = [
    ['closes at once', (s) => s.end(), /closed the connection before its answer was complete/],
    ['resets', (s) => s.resetAndDestroy(), /closed the connection before its answer was complete/],
    ['another protocol', (s) => s.end('220 mail.example ESMTP\r\n'), /answered something that is not SCGI/],
    ['half a header', (s) => s.end('Status: 200 OK\r\nContent-'), /closed the connection before/],
    [
      'half a body',
      (s) => s.end('Status: 200 OK\r\nContent-Length: 900\r\n\r\n<?xml version="1.0"?>'),
      /closed the connection before/,
    ],
    ['silence', () => {}, /did not answer within 0\.2 s/, { timeoutMs: 200 }],
    ['an endless header', (s) => s.write('x'.repeat(300_000)), /more than 1000 bytes/, { maxReplyBytes: 1000 }],
    [
      'a length beyond the limit',
      (s) => s.write('Status: 200 OK\r\nContent-Length: 99999999999\r\n\r\n'),
      /answered with more than/,
    ],
    ['an error of a proxy', body('<html>', '502 Bad Gateway'), /failed inside \(502\)/],
    ['a web page', body('<html></html>'), /answered with a web page instead of XML-RPC/],
    ['XML that is cut off', body('<?xml version="1.0"?><methodResponse><params><param>'), /broken or cut off/],
    ['other XML', body('<?xml version="1.0"?><rss></rss>'), /broken or cut off/],
    ['a fault without a value', body('<methodResponse><fault></fault></methodResponse>'), /broken or cut off/],
    [
      'a fault',
      body(
        '<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>-503</int></value></member>' +
          '<member><name>faultString</name><value>no \u001b[31m way</value></member></struct></value></fault></methodResponse>',
      ),
      /refused d\.multicall2: no .\[31m way$/,
    ],
    [
      'another XML-RPC server',
      body(
        '<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>-506</int></value></member>' +
          '<member><name>faultString</name><value>no</value></member></struct></value></fault></methodResponse>',
      ),
      /does not know d\.multicall2: it is no rTorrent/,
    ],
    ['a number for a list', body(value('<i8>5</i8>')), /something else than the list/],
    [
      'lists of nothing',
      body(value('<array><data><value><array><data></data></array></value></data></array>')),
      /text/,
    ],
    [
      'deep nesting',
      body(value(`${'<array><data><value>'.repeat(50_000)}${'</value></data></array>'.repeat(50_000)}`)),
      /lists nested deeper than 32/,
    ],
  ];
  for (const [name, answer, message, options] of cases) {
    it(`says so: ${name}`, async () => {
      await assert.rejects(ask(answer, options), (error: Error & { code?: unknown }) => {
        assert.match(error.message, message);
        assert.equal(error.code, 'CLIENT');
        return true;
      });
    });
  }

  it('does not wait for the end of a connection that is kept open', async () => {
    const xml = value('<array><data></data></array>');
    const answer = (socket: Socket): void =>
      void socket.write(`Content-Length: ${xml.length}\r\nContent-Type: text/xml\r\n\r\n${xml}`);
    assert.deepEqual(await ask(answer, { timeoutMs: 5000 }), []);
  });

  it('takes what is behind scgi:// for a host and port, or for a path', () => {
    assert.deepEqual(scgiTarget('scgi://localhost:5000'), { host: 'localhost', port: 5000 });
    assert.deepEqual(scgiTarget('scgi://[::1]:5000/'), { host: '::1', port: 5000 });
    assert.deepEqual(scgiTarget('scgi:///run/a%20b.sock'), { path: '/run/a b.sock' });
    assert.deepEqual(scgiTarget('scgi:///run/50%off ü.sock'), { path: '/run/50%off ü.sock' });
  });
});
