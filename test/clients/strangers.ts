/** The errors of an adapter over HTTP where something other than its client answers. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { TorrentClient } from '../../src/clients/client.ts';
import type { ClientOptions } from '../../src/clients/wire/exchange.ts';
import { temporaryFolder } from '../harness/folder.ts';
import type { Subject } from './subject.ts';

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

/** For adapters that speak HTTP. */
export function strangersContract(subject: Subject): void {
  const title = subject.title ?? subject.name;
  describe(`${title} over TLS`, () => {
    let folder: string;
    let server: Server;
    let port: number;
    before(async () => {
      folder = temporaryFolder('self-signed');
      const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(folder, name));
      assert.ok(key !== undefined && cert !== undefined);
      const args = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=127.0.0.1', '-keyout', key];
      execFileSync('openssl', [...args, '-out', cert], { stdio: 'ignore' });
      server = createTlsServer({ key: await readFile(key), cert: await readFile(cert) }, (_, res) => res.end());
      port = await listening(server);
    });
    after(async () => {
      server?.closeAllConnections();
      server?.close();
    });

    it('says that a certificate is not trusted, and how to make it', async () => {
      await assert.rejects(subject.connect(`https://127.0.0.1:${port}/x`).describe(), {
        code: 'CLIENT',
        message: /shows a certificate that is not trusted/,
        hint: /NODE_EXTRA_CA_CERTS/,
      });
    });

    it('says so where one side speaks TLS and the other does not', async () => {
      await assert.rejects(subject.connect(`http://127.0.0.1:${port}/x`).describe(), {
        code: 'CLIENT',
        message: /not HTTP|closed the connection/,
      });
      const plain = createServer((_, res) => res.end());
      try {
        await assert.rejects(subject.connect(`https://127.0.0.1:${await listening(plain)}/x`).describe(), {
          code: 'CLIENT',
          message: /does not speak TLS/,
        });
      } finally {
        plain.close();
      }
    });
  });

  describe(`${title} behind something else that answers`, () => {
    const servers: Server[] = [];
    after(() => {
      for (const server of servers) {
        server.closeAllConnections();
        server.close();
      }
    });
    const answers = async (listener: RequestListener, options: ClientOptions = {}): Promise<TorrentClient> => {
      const server = createServer(listener);
      servers.push(server);
      return subject.connect(`http://user:hunter2@127.0.0.1:${await listening(server)}/some/path`, options);
    };
    const cases: readonly (readonly [string, RegExp, RequestListener, ClientOptions?])[] = [
      ['a web page', /answered with a web page instead of/, (_, res) => res.end('<!DOCTYPE html><html></html>')],
      ['nothing', /answered with nothing instead of/, (_, res) => res.end()],
      ['other text', /answered with something else instead of/, (_, res) => res.end('hello')],
      [
        'a redirect',
        /redirects to https:\/\/\*\*\*@elsewhere\.example\/ \(302\), which is not followed/,
        (_, res) => res.writeHead(302, { location: 'https://me:secret@elsewhere.example/' }).end(),
      ],
      ['401', /refused the user name and password \(401\)/, (_, res) => res.writeHead(401).end('<html>')],
      ['403', /forbids the access/, (_, res) => res.writeHead(403).end()],
      ['404', /has nothing under this path \(404\)/, (_, res) => res.writeHead(404).end()],
      ['500', /failed inside \(500\)/, (_, res) => res.writeHead(500).end('<html>')],
      ['418', /unexpected status 418/, (_, res) => res.writeHead(418).end()],
      [
        'an answer that is cut off',
        /closed the connection before its answer was complete/,
        (_, res) => {
          res.writeHead(200, { 'content-length': '1000' });
          res.write('<?xml version="1.0"?>');
          setImmediate(() => res.destroy());
        },
      ],
      ['no answer', /did not answer within 0\.2 s/, () => {}, { timeoutMs: 200 }],
      [
        'an answer that never ends',
        /did not answer within 0\.2 s/,
        (_, res) => void res.write('{'),
        { timeoutMs: 200 },
      ],
      [
        'a flood',
        /answered with more than 10000 bytes/,
        (_, res) => res.end(Buffer.alloc(1_000_000, 0x20)),
        { maxReplyBytes: 10_000 },
      ],
    ];
    for (const [name, message, listener, options] of cases) {
      it(`says so: ${name}`, async () => {
        const client = await answers(listener, options);
        await assert.rejects(client.describe(), (error: Error & { code?: unknown }) => {
          assert.equal(error.code, 'CLIENT');
          assert.match(error.message, message);
          assert.doesNotMatch(error.message, /hunter2|secret/, 'no password in a message');
          return true;
        });
      });
    }
  });
}
