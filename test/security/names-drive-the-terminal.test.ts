/**
 * A torrent, files, a disk, a configuration and a client whose names and words carry escape codes, bidi controls, line breaks
 * and zero-width characters. None of them reaches standard output, standard error or a log as it is.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, get, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Autotorrent, autotorrentIn, type Result } from '../harness/autotorrent.ts';
import type { Daemon } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';

/** OSC 0, 52 and 8, CSI as C1, CR, line feeds, DEL, bidi, zero width, separators, a tag; at most 100 bytes in UTF-8. */
const EVIL =
  '\x1b]0;t\x07\x1b]52;c;aA==\x07\x1b]8;;h\x07\u009b31m\r\nerror: forged\n\x7f\u202e\u2066\u061c\u200b\u200d\u2028\ufeff\u{e0041}';
const ACTIVE =
  // oxlint-disable-next-line no-control-regex no-misleading-character-class
  /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\u{e0000}-\u{e007f}]|\p{Cs}/u;
const RELEASE = `album ${EVIL}`;
const SONG = Buffer.alloc(70_000, 'song ');
const NOTE = Buffer.alloc(50_000, 'note ');

function assertTame(text: string, what: string): void {
  const at = text.search(ACTIVE);
  assert.equal(at, -1, `${what}: ${JSON.stringify(text.slice(Math.max(0, at - 60), at + 20))}`);
  assert.doesNotMatch(text, /^\W*(?:error: )?forged/m, what);
  assert.doesNotMatch(text, /^error: forged/m, what);
}

/** A Transmission, as far as `list` and `test-connection` ask, whose every word is hostile. */
async function startHostile(
  infoHashes: () => readonly string[],
): Promise<{ readonly server: Server; readonly url: string }> {
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => {
      body += chunk;
    });
    request.on('end', () => {
      // A client that answers more than it was asked is refused before its words are read.
      const asked = infoHashes().filter((hash) => body.includes(hash));
      const torrents = asked.map((hashString) => ({
        hashString,
        name: EVIL,
        status: 0,
        error: 3,
        errorString: `tracker says ${EVIL}`,
        percentDone: 0.5,
        recheckProgress: 0,
      }));
      const known = body.includes('session-get') || body.includes('torrent-get');
      const reply = known
        ? { result: 'success', arguments: { version: `3.00 ${EVIL}`, torrents } }
        : { result: `refused ${EVIL}`, arguments: {} };
      response.end(JSON.stringify(reply));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/transmission/rpc` };
}

describe('names that drive a terminal', () => {
  let folder: string;
  let disk: string;
  let autotorrent: Autotorrent;
  let daemon: Daemon;
  let hostile: Server;
  let infoHash: string;
  const entry = RELEASE;
  const torrent = (): string => join(folder, `${RELEASE}.torrent`);

  /** Runs a command and checks what it printed. */
  const run = async (args: readonly string[], code?: number): Promise<Result> => {
    const result = await autotorrent.run(...args);
    const what = args.join(' ').replaceAll(EVIL, '*');
    if (code !== undefined) assert.equal(result.code, code, `${what}: ${JSON.stringify(result)}`);
    assertTame(result.stdout, `${what}, standard output`);
    assertTame(result.stderr, `${what}, standard error`);
    return result;
  };
  /** Runs a command with --json too: its document must hold the exact name. */
  const document = async (args: readonly string[], name = EVIL): Promise<void> => {
    const { stdout } = await run(['--json', ...args]);
    const found: string[] = [];
    JSON.parse(stdout, (key, value: unknown) => {
      found.push(key, ...(typeof value === 'string' ? [value] : []));
      return value;
    });
    assert.ok(
      found.some((text) => text.includes(name)),
      `${args[0]} has the name: ${stdout}`,
    );
  };

  before(async () => {
    folder = temporaryFolder('names');
    disk = join(folder, `disk ${EVIL}`);
    await mkdir(join(disk, RELEASE), { recursive: true });
    await writeFile(join(disk, RELEASE, `song ${EVIL}`), SONG);
    await writeFile(join(disk, RELEASE, `note ${EVIL}`), NOTE);
    const made = makeTorrent({
      name: RELEASE,
      content: [
        { path: [`song ${EVIL}`], data: SONG },
        { path: [`note ${EVIL}`], data: NOTE },
        { path: [`gone ${EVIL}`], data: Buffer.alloc(100, 1) },
      ],
    });
    infoHash = made.infoHash;
    await writeFile(torrent(), made.raw);
    const note = makeTorrent({ name: `note ${EVIL}`, content: NOTE });
    await writeFile(join(folder, 'note.torrent'), note.raw);
    const lost = makeTorrent({ name: `lost ${EVIL}`, content: Buffer.alloc(90_000, 2) });
    await writeFile(join(folder, `lost ${EVIL}.torrent`), lost.raw);
    await writeFile(join(folder, `bad ${EVIL}.torrent`), `d4:info${EVIL}`);
    const started = await startHostile(() => [infoHash]);
    hostile = started.server;
    autotorrent = await autotorrentIn({
      folder,
      // A value of the configuration cannot hold a line break, so the hostile folder lies below the disk.
      disks: [folder],
      client: ['client = transmission', `url = ${started.url}`],
      // What is deleted is lost: nobody has it open.
      general: ['add_limit_percent = 50', 'hold_sources = 0'],
    });
    await run(['rebuild'], 0);
    daemon = await autotorrent.mount();
  });
  after(async () => {
    await daemon?.stop();
    hostile?.close();
  });

  it('a torrent that is refused, missing or broken', async () => {
    const others = [join(folder, `lost ${EVIL}.torrent`), join(folder, `bad ${EVIL}.torrent`)];
    await run(['add', '--no-client', '--dry-run', 'txt', torrent(), ...others], 3);
    await document(['add', '--no-client', '--dry-run', 'json', torrent(), ...others]);
    await run(['add', '--no-client', ...others], 3);
    await document(['add', '--no-client', ...others]);
    await run(['add', torrent()]);
    await run(['add', join(folder, `none ${EVIL}.torrent`)], 3);
  });

  it('an entry', async () => {
    await run(['add', '--no-client', '--verify', 'none', torrent()], 0);
    for (const args of [
      ['list'],
      ['list', '--no-client'],
      ['show', entry],
      ['status'],
      ['verify'],
      ['verify', entry],
    ]) {
      await run(args);
    }
    await document(['list']);
    await document(['show', entry]);
    await document(['verify', entry]);
    await run(['show', `none ${EVIL}`], 1);
    await document(['show', `none ${EVIL}`]);
  });

  it('an answer of the control socket, as curl shows it', async () => {
    const socketPath = join(autotorrent.statePath, 'socket');
    const [answer] = await once(get({ socketPath, path: '/v1/entries' }), 'response');
    let text = '';
    for await (const chunk of (answer as IncomingMessage).setEncoding('utf8')) text += String(chunk);
    assert.ok(JSON.stringify(JSON.parse(text)).includes(JSON.stringify(EVIL).slice(1, -1)));
    assertTame(text, 'the answer');
  });

  it('what a client wrote', async () => {
    await writeFile(join(autotorrent.storePath, entry, RELEASE, `made ${EVIL}`), 'made');
    await writeFile(join(autotorrent.storePath, entry, RELEASE, `gone ${EVIL}`), Buffer.alloc(100, 3));
    await run(['overlay', 'diff', entry], 0);
    await document(['overlay', 'diff', entry]);
    await run(['overlay', 'export', entry, join(folder, `copy ${EVIL}`), '--force']);
    await document(['overlay', 'export', entry, join(folder, `other ${EVIL}`), '--force']);
    await run(['overlay', 'export', entry, join(folder, `none ${EVIL}`, 'copy')], 1);
    await run(['overlay', 'discard', entry], 2);
    await run(['overlay', 'discard', entry, '--yes', `none ${EVIL}`]);
    await run(['overlay', 'discard', entry, '--yes']);
  });

  it('a client and its tracker', async () => {
    assert.match((await run(['list'])).stdout, /tracker says \\x1b\]0;t/);
    assert.match((await run(['test-connection'], 0)).stdout, /3\.00 \\x1b\]0;t/);
    await document(['test-connection'], '\x1b]52;c;aA==\x07');
    assert.match(
      (await run(['add', '--verify', 'none', join(folder, 'note.torrent')], 3)).stdout,
      /refused \\x1b\]0;t/,
    );
  });

  it('a source that is lost, in the log of the server too', async () => {
    await rm(join(disk, RELEASE, `song ${EVIL}`));
    // The copies that were exported lie in the collection, too.
    for (const copy of ['copy', 'other']) await rm(join(folder, `${copy} ${EVIL}`), { recursive: true });
    await readFile(join(autotorrent.storePath, entry, RELEASE, `song ${EVIL}`)).catch(() => {});
    await run(['verify', entry], 3);
    await run(['status']);
    await document(['status']);
    assert.match(daemon.output(), /\\x1b\]0;t/, 'the server logs the source');
    assertTame(daemon.output(), 'the log');
  });

  it('a command line and a configuration', async () => {
    await run([`bogus ${EVIL}`], 2);
    await run(['list', `--bogus${EVIL}`], 2);
    await run(['add', '--verify', EVIL, torrent()], 2);
    await run([`--dry-run=${EVIL}`, 'add', torrent()], 2);
    await run(['overlay', `bogus${EVIL}`], 2);
    await run(['-l', EVIL, 'list'], 2);
    await run(['-c', join(folder, EVIL), 'list'], 2);
    await run(['rebuild', join(folder, EVIL)], 1);
    const odd = join(folder, 'odd.conf');
    const value = EVIL.replaceAll(/[\r\n]/g, ' ');
    await writeFile(odd, `[general]\n${value} = ${value}\nscan_mode = ${value}\nstore_path = ${value}\n[${value}]\n`);
    await run(['-c', odd, 'list'], 2);
    await run(['--json', '-c', odd, 'list'], 2);
  });

  it('the logs of the state', async () => {
    await run(['remove', entry], 0);
    const logs = (await readdir(folder, { recursive: true })).filter((name) => /(?:^|\/)(?:[a-z-]+\.)?log$/.test(name));
    assert.ok(
      logs.some((name) => name.startsWith('index')),
      logs.join(', '),
    );
    for (const name of logs) assertTame(await readFile(join(folder, name), 'utf8'), name);
  });
});
