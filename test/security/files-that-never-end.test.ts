/**
 * A FIFO that nobody writes to, a device that never ends, a socket, a sparse file of a terabyte and a file that grows, wherever
 * the program reads a small file: no command hangs, fills the memory or ignores SIGTERM.
 */
import assert from 'node:assert/strict';
import { execFileSync, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { readdir, readlink } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { waitUntil } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';

const PROGRAM = resolve('dist/src/main.js');
/** A command that is still there then, on a busy machine, hangs. */
const HANGS_MS = 60_000;
/** The most memory that a command may take: it may read 64 MiB, and Node takes some 100 MiB itself. */
const MOST_KIB = 600 * 1024;

// The index process must end within the test.
process.env['AUTOTORRENT_INDEX_IDLE_MS'] = '1000';

interface Ended {
  readonly code: number | null;
  readonly said: string;
  /** Milliseconds from the signal to the end. */
  readonly tookMs: number;
}

/**
 * Runs a command and checks how much memory it took. It gets SIGTERM at `stop`: after so many milliseconds, or once it has
 * this file open. It never outlives the test.
 */
async function run(args: readonly string[], options: SpawnOptions = {}, stop?: number | string): Promise<Ended> {
  const child = spawn(process.execPath, [PROGRAM, ...args], { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (said += String(chunk)));
  let peak = 0;
  const watch = setInterval(() => {
    try {
      peak = Math.max(
        peak,
        Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'latin1'))?.[1] ?? 0),
      );
    } catch {
      // It has ended.
    }
  }, 20);
  const limit = setTimeout(() => child.kill('SIGKILL'), HANGS_MS);
  let from = performance.now();
  const ended = once(child, 'close') as Promise<[number | null, string | null]>;
  if (stop !== undefined) {
    if (typeof stop === 'number') await sleep(stop);
    else await waitUntil(`${stop} is open`, async () => child.exitCode !== null || (await hasOpen(child.pid, stop)));
    assert.equal(child.exitCode, null, `ended before it was stopped: ${said}`);
    from = performance.now();
    child.kill('SIGTERM');
  }
  const [code, signal] = await ended;
  clearInterval(watch);
  clearTimeout(limit);
  assert.notEqual(signal, 'SIGKILL', `hangs: ${args.join(' ')} ${said}`);
  assert.ok(peak < MOST_KIB, `took ${peak} KiB`);
  return { code, said, tookMs: performance.now() - from };
}

async function hasOpen(pid: number | undefined, path: string): Promise<boolean> {
  const open = await readdir(`/proc/${pid}/fd`).catch(() => []);
  const paths = await Promise.all(open.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => undefined)));
  return paths.includes(path);
}

describe('files that never end', () => {
  let folder: string;
  let autotorrent: Autotorrent;
  let socket: Server;
  const at = (...names: readonly string[]): string => join(folder, ...names);
  const fifo = (...names: readonly string[]): string => {
    const path = at(...names);
    rmSync(path, { force: true });
    execFileSync('mkfifo', [path]);
    return path;
  };
  const add = (...args: readonly string[]) => ['-c', autotorrent.config, 'add', '--dry-run', 'txt', ...args];

  before(async () => {
    folder = temporaryFolder('never-end');
    for (const name of ['disk', 'in', 'in/folder.torrent', 'home']) mkdirSync(at(name));
    const content = Buffer.alloc(50_000, 'film');
    writeFileSync(at('disk', 'film.bin'), content);
    writeFileSync(at('in', 'good.torrent'), makeTorrent({ name: 'film.bin', content }).raw);
    fifo('in', 'fifo.torrent');
    symlinkSync('/dev/zero', at('in', 'zero.torrent'));
    writeFileSync(at('in', 'sparse.torrent'), '');
    truncateSync(at('in', 'sparse.torrent'), 2 ** 40);
    socket = createServer().listen(at('in', 'socket.torrent'));
    await once(socket, 'listening');
    // Nothing listens there; a server without a client would keep no record of it.
    const client = ['client = transmission', 'url = http://127.0.0.1:9/transmission/rpc'];
    autotorrent = await autotorrentIn({ folder, disks: [at('disk')], client });
    assert.equal((await run(['-c', autotorrent.config, 'rebuild'])).code, 0);
  });
  after(() => socket?.close());

  it('in a folder of torrents, beside a good one', async () => {
    const { code, said } = await run(add(at('in')));
    assert.equal(code, 3);
    assert.match(said, /^Found 5 torrent/m);
    assert.match(said, /\[OK\] +'good'/);
    assert.match(said, /'fifo' Cannot be read: it is a pipe/);
    assert.match(said, /'zero' Cannot be read: it is a device/);
    assert.match(said, /'socket' Cannot be read: it is a socket/);
    assert.match(said, /'sparse' Not a valid torrent: it is 1099511627776 bytes long/);
  });

  it('named on the command line', async () => {
    const named = ['zero', 'socket', 'sparse'].map((name) => at('in', `${name}.torrent`));
    const { code, said } = await run(add(...named));
    assert.equal(code, 3);
    assert.equal(said.match(/\[Failed\]/g)?.length, 3);
    assert.match((await run(add(at('in', 'folder.torrent')))).said, /^Found 0 torrent/m);
  });

  it('a device is not even opened', { skip: NEEDS_ROOT }, async () => {
    // No driver has this number: opening it would fail with ENXIO.
    execFileSync('mknod', [at('device.torrent'), 'c', '240', '254']);
    assert.match((await run(add(at('device.torrent')))).said, /it is a device, not a file/);
  });

  it('a named pipe without a writer, until SIGTERM', async () => {
    const { code, said, tookMs } = await run(add(at('in', 'fifo.torrent')), {}, at('in', 'fifo.torrent'));
    assert.equal(code, 1);
    assert.match(said, /stopped/);
    assert.ok(tookMs < 10_000, `${tookMs} ms`);
  });

  it('a named pipe whose writer never ends', async () => {
    const writer = spawn('sh', ['-c', 'exec cat /dev/zero >"$0"', at('in', 'fifo.torrent')], { stdio: 'ignore' });
    try {
      assert.match((await run(add(at('in', 'fifo.torrent')))).said, /more than 67108864 bytes came through the pipe/);
    } finally {
      writer.kill('SIGKILL');
    }
  });

  it('a torrent that grows while it is read', async () => {
    writeFileSync(at('grows.torrent'), '');
    const grow = 'i=0; while [ $i -lt 150 ]; do head -c 1048576 /dev/zero >>"$0"; i=$((i+1)); done';
    const writer = spawn('sh', ['-c', grow, at('grows.torrent')], { stdio: 'ignore' });
    try {
      for (let i = 0; i < 3; i++) assert.match((await run(add(at('grows.torrent')))).said, /\[Failed\]/);
    } finally {
      writer.kill('SIGKILL');
      rmSync(at('grows.torrent'), { force: true });
    }
  });

  it('as the configuration', async () => {
    const { code, said, tookMs } = await run(['-c', fifo('pipe.conf'), 'list'], {}, at('pipe.conf'));
    assert.equal(code, 1);
    assert.match(said, /stopped/);
    assert.ok(tookMs < 5000, `${tookMs} ms`);
    for (const [path, reason] of [
      ['/dev/zero', /is not a configuration: it is a device/],
      [at('in', 'sparse.torrent'), /is not a configuration: it is 1099511627776 bytes/],
      [at('in', 'socket.torrent'), /is not a configuration: it is a socket/],
      [at('in'), /is not a configuration: it is a folder/],
    ] as const) {
      const refused = await run(['-c', path, 'list']);
      assert.equal(refused.code, 2);
      assert.match(refused.said, reason);
    }
  });

  it('as the settings of clients that init reads', async () => {
    const settings = [
      '.rtorrent.rc',
      '.config/transmission/settings.json',
      '.config/transmission-daemon/settings.json',
      '.config/deluge/auth',
      '.config/deluge/core.conf',
      '.config/deluge/web.conf',
      '.config/qBittorrent/qBittorrent.conf',
      '.config/rtorrent/rtorrent.rc',
    ];
    for (const [round, make] of [
      ['fifo', (path: string) => execFileSync('mkfifo', [path])],
      ['zero', (path: string) => symlinkSync('/dev/zero', path)],
      ['sparse', (path: string) => symlinkSync(at('in', 'sparse.torrent'), path)],
    ] as const) {
      const home = at('home', round);
      for (const name of settings) {
        mkdirSync(join(home, name, '..'), { recursive: true });
        make(join(home, name));
      }
      const env = { ...process.env, HOME: home, XDG_CONFIG_HOME: join(home, '.config') };
      const { code } = await run(['init', join(home, 'new.conf')], { env });
      assert.equal(code, 0);
    }
  });

  it('in place of files of the state', async () => {
    mkdirSync(autotorrent.statePath, { recursive: true });
    const mount = ['-c', autotorrent.config, 'mount'];
    fifo('state', 'absence.json');
    const refused = await run(mount);
    assert.equal(refused.code, 1);
    assert.match(refused.said, /absence\.json cannot be read: it is a pipe, not a file/);
    rmSync(at('state', 'absence.json'));
    // What the record is written to first is replaced.
    fifo('state', 'absence.json.new');
    const served = await run(mount, {}, 5000);
    assert.match(served.said, /Serving[\s\S]*Unmounted/);
    renameSync(at('state', 'store', 'CURRENT'), at('CURRENT'));
    fifo('state', 'store', 'CURRENT');
    const store = await run(mount);
    assert.equal(store.code, 1);
    assert.match(store.said, /is not opened: CURRENT in it is no regular file/);
  });

  it('in place of files of the index and the cache of digests', async () => {
    rmSync(at('state', 'store', 'CURRENT'));
    renameSync(at('CURRENT'), at('state', 'store', 'CURRENT'));
    mkdirSync(at('index.hashes'));
    fifo('index.hashes', 'CURRENT');
    const server = await autotorrent.mount();
    try {
      const good = ['--no-client', '--verify', 'full', at('in', 'good.torrent')];
      const added = await run(['-c', autotorrent.config, 'add', ...good]);
      assert.equal(added.code, 0, added.said);
      assert.match(added.said, /hashing goes on without: .*CURRENT in it is no regular file/);
    } finally {
      await server.stop();
    }
    // The index process that has it open ends first.
    await sleep(4000);
    rmSync(at('index', 'LOG'));
    symlinkSync(at('victim'), at('index', 'LOG'));
    const { code, said } = await run(['-c', autotorrent.config, 'rebuild']);
    assert.equal(code, 1);
    assert.match(said, /is not opened: LOG in it is no regular file/);
  });
});
