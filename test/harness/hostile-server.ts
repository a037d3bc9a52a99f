/**
 * A worker thread that answers as a client in an attacker's hands would: its own work does not count as that of the
 * client's code. What comes before the hostile answer (a login) it answers as the client does.
 */
import { createServer as createHttpServer, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { createServer as createTlsServer } from 'node:tls';
import { parentPort, workerData } from 'node:worker_threads';
import { rencode } from '../../src/clients/wire/rencode.ts';
import { delugeCalls, delugeFrame } from './deluge-frames.ts';
import type { HostileAnswer } from './hostile-client.ts';

/** What the protocol has around the answer's value. */
const AROUND = {
  transmission: ['{"result":"success","arguments":{"torrents":', '}}'],
  qbittorrent: ['', ''],
  'deluge web': ['{"error":null,"id":1,"result":', '}'],
  'rtorrent http': ['<?xml version="1.0"?><methodResponse><params><param>', '</param></params></methodResponse>'],
  'rtorrent scgi': ['<?xml version="1.0"?><methodResponse><params><param>', '</param></params></methodResponse>'],
  'deluge daemon': ['', ''],
} as const;

export interface HostileWork {
  readonly protocol: keyof typeof AROUND;
  readonly answer: HostileAnswer;
  readonly certificate: { readonly key: Uint8Array; readonly cert: Uint8Array };
}

const { protocol, answer, certificate } = workerData as HostileWork;
const [before, after] = AROUND[protocol];
const BODY = Buffer.concat([Buffer.from(before), answer.value, Buffer.from(after)]);

interface Sink {
  readonly destroyed: boolean;
  write(bytes: Buffer): boolean;
  end(bytes: Buffer): unknown;
}

async function send(body: Buffer, out: Sink): Promise<void> {
  if (answer.sent === undefined || answer.sent === 'whole') {
    out.end(body);
    return;
  }
  for (let at = 0; !out.destroyed; at += 1) {
    const isFull = !out.write(body.subarray(at % body.length, (at % body.length) + 1));
    if (answer.sent === 'trickle') await sleep(20);
    else if (isFull || at % 1000 === 0) await setImmediate();
  }
}

async function reply(response: ServerResponse): Promise<void> {
  await sleep(answer.after ?? 0);
  for (const line of (answer.header ?? '').split('\r\n').filter((one) => one !== '')) {
    const [name = '', value = ''] = line.split(': ');
    response.appendHeader(name, value);
  }
  await send(BODY, response);
}

function overHttp(): Server {
  return createHttpServer((request, response) => {
    response.on('error', () => {});
    void (async () => {
      const asked = (await buffer(request)).toString();
      if (protocol === 'deluge web' && /"method":"(?:auth\.login|web\.connected)"/.test(asked)) {
        response.writeHead(200, { 'set-cookie': '_session_id=1;' }).end('{"result":true,"error":null,"id":1}');
      } else await reply(response);
    })();
  });
}

function overScgi(): Server {
  return createTcpServer((socket) => {
    socket.once('data', () => {
      void (async () => {
        await sleep(answer.after ?? 0);
        const length = answer.sent === 'crumbs' ? '' : `Content-Length: ${BODY.length}\r\n`;
        socket.setNoDelay(true);
        socket.write(`Status: 200 OK\r\n${length}${answer.header ?? ''}\r\n`);
        await send(BODY, socket);
      })();
    });
  });
}

function overTls(): Server {
  // A list of three: the kind, the id (of the second request: the first is the login), the value.
  const message = delugeFrame(Buffer.concat([Buffer.of(192 + 3, 1, 1), answer.value]));
  const key = Buffer.from(certificate.key);
  return createTlsServer({ key, cert: Buffer.from(certificate.cert) }, (socket) => {
    socket.on('error', () => {});
    socket.on('data', (frame) => {
      void (async () => {
        const [[id, method] = [0, '']] = delugeCalls(frame);
        if (method === 'daemon.login') {
          socket.write(delugeFrame(rencode([1, id, 10])));
          return;
        }
        await sleep(answer.after ?? 0);
        await send(message, socket);
      })();
    });
  });
}

const server = protocol === 'deluge daemon' ? overTls() : protocol === 'rtorrent scgi' ? overScgi() : overHttp();
server.on('connection', (socket: Socket) => socket.on('error', () => {}));
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  parentPort?.postMessage(typeof address === 'object' ? address?.port : undefined);
});
