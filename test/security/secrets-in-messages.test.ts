/**
 * A user's password stands where it makes the configuration wrong, or its client is not there, or refuses it. Nothing that
 * the program prints, logs, or starts may repeat it: the user shows such messages to strangers who help him.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createClient } from '../../src/clients/create.ts';
import { loadConfig } from '../../src/config/load.ts';
import { AutotorrentError, explained } from '../../src/errors.ts';
import { autotorrentIn, type Result } from '../harness/autotorrent.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';

const SECRET = 'hunter2Secret';
/** Its parts, where a message cuts it at a `/`, a `#` or a `%`. */
const PARTS = ['hunter2', 'Secret'];

/** Addresses with a password in them: most are no URLs. */
const ADDRESSES = [
  `http://me:${SECRET}@`,
  `http://me:${SECRET}`,
  `http://me:hunter2/Secret@127.0.0.1:1/RPC2`,
  `http://me:hunter2#Secret@127.0.0.1:1/RPC2`,
  `http://me:hunter2?Secret@127.0.0.1:1/RPC2`,
  `http://me:hunter2 Secret@127.0.0.1:1/RPC2`,
  `http://me:hunter2@Secret@127.0.0.1:1/RPC2`,
  `http://me:12/hunter2Secret@127.0.0.1:1/RPC2`,
  `http://me:${SECRET}@127.0.0.1:99999/RPC2`,
  `http://me:${SECRET}@[::1/RPC2`,
  `http:/me:${SECRET}@127.0.0.1:1`,
  `htp://me:${SECRET}@127.0.0.1:1`,
  `me:${SECRET}@127.0.0.1:1`,
  `me:${SECRET}@127.0.0.1`,
  `scgi://me:${SECRET}@127.0.0.1:1`,
  `scgi://me:${SECRET}`,
  `http://me:${SECRET}@127.0.0.1:1/RPC2`,
  `https://me:${SECRET}@no-such-host.invalid/RPC2`,
  `http://127.0.0.1:1/RPC2?password=${SECRET}`,
  `http://127.0.0.1:1/RPC2#${SECRET}`,
];
const KINDS = [
  ['rtorrent', 'url'],
  ['deluge', 'url'],
  ['deluge', 'host'],
  ['transmission', 'url'],
  ['qbittorrent', 'url'],
] as const;

/** Lines of [client] in which the password stands where none is expected. */
const LINES = [
  ['client = transmission', 'url = http://127.0.0.1:1', 'username = me', `  password = ${SECRET}`],
  ['client = transmission', `url = http://127.0.0.1:1`, `  password = ${SECRET}`],
  ['client = transmission', 'url = http://127.0.0.1:1', `password ${SECRET}`],
  ['client = transmission', 'url = http://127.0.0.1:1', 'password =', SECRET],
  ['client = transmission', 'url = http://127.0.0.1:1', `pasword = ${SECRET}`, 'client'],
  ['client = transmission', 'url = http://127.0.0.1:1', `password = ${SECRET}`, `  ${SECRET}`],
  ['client = transmission', 'url = http://127.0.0.1:1', `password = ${SECRET}`, `password = ${SECRET}`],
  [`client = transmission password=${SECRET}`],
];

const noSecret = (text: string, of: string): void => {
  for (const part of PARTS) assert.equal(text.includes(part), false, `${of}:\n${text}`);
};

describe('a password', () => {
  const folder = temporaryFolder('secrets');
  let refusing: Server;
  let port: number;

  before(async () => {
    // Repeats what it gets, as a proxy's error page may.
    refusing = createServer((request, response) => {
      const echo = Buffer.from(request.headers.authorization?.replace('Basic ', '') ?? '', 'base64').toString();
      response.writeHead(request.url?.includes('moved') === true ? 302 : 401, {
        location: `http://${echo}@127.0.0.1/${request.url ?? ''}?${echo}`,
      });
      response.end(`<html>${echo}</html>`);
    });
    await new Promise<void>((done) => refusing.listen(0, '127.0.0.1', done));
    port = (refusing.address() as AddressInfo).port;
  });
  after(() => refusing.close());

  /** Everything that an error says, its causes included. */
  const wholly = (error: unknown): string => {
    const texts: string[] = [];
    for (let next = error; next instanceof Error; next = next.cause) {
      texts.push(next instanceof AutotorrentError ? explained(next) : '', next.message, next.stack ?? '');
    }
    return texts.join('\n');
  };
  const said = async (lines: readonly string[]): Promise<string> => {
    const file = join(folder, 'tried.conf');
    writeFileSync(file, ['[general]', 'store_path = store', '[client]', ...lines, ''].join('\n'), { mode: 0o600 });
    const texts: string[] = [];
    try {
      const { client: config, notices } = await loadConfig({ file, cwd: folder, env: {} });
      texts.push(...notices);
      const client = config === undefined ? undefined : createClient(config, { timeoutMs: 5000 });
      try {
        await client?.describe();
      } finally {
        await client?.close();
      }
    } catch (error) {
      texts.push(wholly(error));
    }
    return texts.join('\n');
  };

  for (const [client, key] of KINDS) {
    it(`in an address is not repeated: ${key} of ${client}`, async () => {
      for (const address of ADDRESSES) {
        const text = await said([`client = ${client}`, `${key} = ${address}`]);
        assert.notEqual(text, '', address);
        noSecret(text, `${client}: ${address}`);
      }
    });

    it(`that is refused, or sent elsewhere, is not repeated: ${client} by ${key}`, async () => {
      for (const path of ['', 'moved']) {
        const address = key === 'host' ? `127.0.0.1:${port}` : `http://me:${SECRET}@127.0.0.1:${port}/${path}`;
        const more = client === 'rtorrent' ? [] : [`password = ${SECRET}`];
        const text = await said([`client = ${client}`, `${key} = ${address}`, ...more]);
        assert.notEqual(text, '');
        noSecret(text, `${client}: ${path}`);
      }
    });
  }

  it('in a broken line is not repeated', async () => {
    for (const lines of LINES) {
      const text = await said(lines);
      assert.notEqual(text, '');
      noSecret(text, lines.join(' | '));
    }
  });

  it('is in no output, no log, no argument and no environment of a running server and its children', async () => {
    const own = join(folder, 'running');
    mkdirSync(join(own, 'disk'), { recursive: true });
    const torrent = join(own, 't.torrent');
    const content = Buffer.alloc(30_000, 'x');
    writeFileSync(join(own, 'disk', 't.bin'), content);
    writeFileSync(
      torrent,
      makeTorrent({ name: 't.bin', content, announce: `http://127.0.0.1:9/${SECRET}/announce` }).raw,
    );
    const program = await autotorrentIn({
      folder: own,
      disks: [join(own, 'disk')],
      client: ['client = rtorrent', `url = http://me:${SECRET}@127.0.0.1:1/RPC2`],
    });
    const results: Result[] = [];
    const ran = async (...args: string[]): Promise<Result> => {
      const result = await program.run(...args);
      results.push(result);
      return result;
    };
    await ran('--verbose', 'rebuild');
    const mounted = await ran('--verbose', '--json', 'mount', '--daemon');
    assert.equal(mounted.code, 0, mounted.stderr);
    const { pid } = JSON.parse(mounted.stdout) as { pid: number };
    try {
      await ran('--verbose', 'add', torrent);
      await ran('--json', 'add', torrent);
      await ran('--verbose', 'add', '--no-client', torrent);
      await ran('--verbose', 'add', '--dry-run', 'json', torrent);
      for (const command of ['list', 'status', 'test-connection', 'verify']) {
        await ran('--verbose', command);
        await ran('--json', command);
      }
      await ran('show', 't');
      await ran('remove', '--from-client', 't');
      // Those of the server, its children, and the index process.
      const ours = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && about(name).includes(own));
      assert.ok(ours.includes(String(pid)));
      for (const process of ours) noSecret(about(process), `process ${process}`);
    } finally {
      await ran('--verbose', 'unmount');
    }
    assert.ok(results.some(({ stderr }) => stderr.includes('127.0.0.1:1/RPC2')));
    for (const { stdout, stderr } of results) noSecret(stdout + stderr, 'a command');
    const logs = readdirSync(own, { recursive: true, encoding: 'utf8' }).filter((path) =>
      /(?<!\d)\.log$|[/]log$/.test(path),
    );
    assert.ok(logs.length >= 2, logs.join());
    for (const log of logs) if (statSync(join(own, log)).isFile()) noSecret(readFileSync(join(own, log), 'utf8'), log);
    assert.ok(readFileSync(program.config, 'utf8').includes(SECRET));
  });
});

/** Arguments and environment of a process, if they can be read. */
function about(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1') + readFileSync(`/proc/${pid}/environ`, 'latin1');
  } catch {
    return '';
  }
}
