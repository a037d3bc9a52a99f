/** `add` while a large torrent is hashed: the others are added meanwhile, and Ctrl-C keeps them. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import type { ListedJson } from '../../src/cli/json.ts';
import type { TorrentClient } from '../../src/clients/client.ts';
import { createClient } from '../../src/clients/create.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { type Daemon, waitUntil } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { bencoded, makeTorrent } from '../harness/make-torrent.ts';
import { startRtorrent } from '../harness/rtorrent.ts';

/** Hashed in seconds, and made in none: its blocks are allocated, so that it is read, and zeros. */
const LARGE_BYTES = 8 * 1024 ** 3;
const LARGE_PIECE = 16 * 1024 ** 2;
const SMALL = 20;
const LIMIT_MS = 300_000;

describe('add that is stopped while it hashes', () => {
  const undo: (() => Promise<unknown>)[] = [];
  let folder: string;
  let autotorrent: Autotorrent;
  let client: TorrentClient;
  let torrents: string[];

  before(async () => {
    folder = temporaryFolder('interrupted');
    const disk = join(folder, 'disk');
    await mkdir(disk);
    await promisify(execFile)('fallocate', ['-l', String(LARGE_BYTES), join(disk, 'large')]);
    const piece = createHash('sha1').update(Buffer.alloc(LARGE_PIECE)).digest();
    const pieces = Buffer.concat(Array.from({ length: LARGE_BYTES / LARGE_PIECE }, () => piece));
    const info = { name: 'large', 'piece length': LARGE_PIECE, pieces, length: LARGE_BYTES };
    torrents = [join(folder, 'large.torrent')];
    await writeFile(join(folder, 'large.torrent'), bencoded({ announce: 'http://127.0.0.1:9/announce', info }));
    for (let i = 0; i < SMALL; i++) {
      const name = `small ${i}`;
      const content = Buffer.alloc(50_000 + i, name);
      await writeFile(join(disk, name), content);
      const path = join(folder, `${name}.torrent`);
      await writeFile(path, makeTorrent({ announce: 'http://127.0.0.1:9/announce', name, content }).raw);
      torrents.push(path);
    }
    const daemon = await startRtorrent({ address: '127.0.0.33' });
    undo.push(() => daemon.stop());
    client = createClient({ client: 'rtorrent', url: daemon.url });
    autotorrent = await autotorrentIn({ folder, disks: [disk], client: ['client = rtorrent', `url = ${daemon.url}`] });
    assert.equal((await autotorrent.run('rebuild')).code, 0);
    const server: Daemon = await autotorrent.mount();
    undo.push(() => server.stop());
  });
  after(async () => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
  });

  const entries = async (): Promise<ListedJson[]> => (await autotorrent.json('list')) as ListedJson[];
  const outputOf = (args: readonly string[]): { child: ReturnType<typeof spawn>; ended: Promise<Ended> } => {
    const program = resolve('dist/src/main.js');
    const child = spawn(process.execPath, [program, '-c', autotorrent.config, ...args], { stdio: 'pipe' });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    const ended = new Promise<Ended>((done) => child.once('close', (code) => done({ code, stdout, stderr })));
    return { child, ended };
  };

  it('has added the others, says what is not done, and goes on with it', { timeout: LIMIT_MS }, async () => {
    const add = outputOf(['add', ...torrents]);
    await waitUntil('the small ones', async () => (await client.list()).length === SMALL, { limitMs: LIMIT_MS });
    assert.equal(add.child.exitCode, null, 'the large one is still being hashed');
    add.child.kill('SIGINT');
    const { code, stdout, stderr } = await add.ended;
    assert.equal(code, 1, stderr);
    const added = stdout.split('\n').filter((line) => line.includes('[OK]'));
    assert.equal(added.length, SMALL, stdout);
    assert.equal(stdout.includes("'large'"), false);
    assert.match(stderr, /1 of 21 torrents were not added; the first is 'large'\. Run the same command to add them/);
    assert.match(stderr, /stopped/);
    const kept = await entries();
    assert.equal(kept.length, SMALL);
    assert.deepEqual(new Set(kept.map(({ state }) => state)), new Set(['added']));

    const stopped = outputOf(['--json', 'add', ...torrents]);
    await waitUntil('the file is open', async () => await isRead(stopped.child.pid ?? 0), { limitMs: LIMIT_MS });
    stopped.child.kill('SIGINT');
    const failure = JSON.parse((await stopped.ended).stdout) as Failure;
    assert.deepEqual([failure.error.code, failure.not_done], ['STOPPED', [torrents[0]]]);
    assert.deepEqual(new Set(failure.torrents.map(({ status }) => status)), new Set(['Seeded']));

    const again = await autotorrent.run('add', ...torrents);
    assert.equal(again.code, 0, again.stderr);
    assert.match(again.stdout, /\[OK\] +'large'/);
    assert.equal(again.stdout.split('\n').filter((line) => line.includes('[Seeded]')).length, SMALL);
    const all = await entries();
    // rTorrent takes our word: by default all is hashed, and it checks nothing.
    assert.deepEqual(new Set(all.map(({ state, verify }) => `${state} ${verify}`)), new Set(['added full']));
    assert.ok(all.every(({ pieces, verified_pieces }) => pieces === verified_pieces));
    await waitUntil('all seed', async () => (await client.list()).every(({ activity }) => activity === 'seeding'), {
      limitMs: LIMIT_MS,
    });
  });

  /** Tells if a process has the large file open, which means that it is being hashed. */
  async function isRead(pid: number): Promise<boolean> {
    const { stdout } = await promisify(execFile)('find', [`/proc/${pid}/fd`, '-lname', '*/disk/large']).catch(() => ({
      stdout: '',
    }));
    return stdout !== '';
  }
});

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Failure {
  readonly error: { readonly code: string };
  readonly torrents: readonly { readonly status: string }[];
  readonly not_done: readonly string[];
}
