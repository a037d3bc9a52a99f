/**
 * Attack: another user listens where a command looks for its server, or its index process, and waits for plans and passkeys.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { statePaths } from '../../src/config/state-paths.ts';
import { ControlClient } from '../../src/control/client.ts';
import { startControlServer } from '../../src/control/server.ts';
import { createLogger, silentLogger } from '../../src/logger.ts';
import type { ServedStore } from '../../src/server/served-store.ts';
import { dial, Peers } from '../../src/state/peer.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { waitUntil } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';
import { AS_OTHER_USER, asOtherUser, NEEDS_ROOT, OTHER_USER } from '../harness/other-user.ts';

/** Listens on argv[1], notes every byte that it gets in argv[2], and answers as a server would. */
const FAKE = `
const { appendFileSync, writeFileSync } = require('node:fs');
const [, path, notes] = process.argv;
writeFileSync(notes, '');
require('node:net').createServer((socket) => {
  socket.on('error', () => {});
  socket.on('data', (bytes) => {
    appendFileSync(notes, bytes);
    socket.end('HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n[]');
  });
}).listen(path, () => console.log('listening'));`;

describe('a socket that another user has made', { skip: NEEDS_ROOT }, () => {
  const top = temporaryFolder('squatted');
  const notes = join(top, 'open', 'notes');
  /** A folder of the other user's, where he makes his sockets. */
  const open = dirname(notes);
  const squatters: ChildProcess[] = [];
  let folder: string;
  let autotorrent: Autotorrent;
  let torrent: string;

  const squat = async (path: string): Promise<void> => {
    const [setpriv, ...become] = AS_OTHER_USER;
    const squatter = spawn(setpriv, [...become, process.execPath, '-e', FAKE, path, notes], {
      cwd: open,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    squatters.push(squatter);
    await new Promise<void>((resolve, reject) => {
      squatter.stdout.once('data', () => resolve());
      squatter.once('exit', (code) => reject(new Error(`the squatter ended with ${code}`)));
    });
  };
  const got = (): string => readFileSync(notes, 'latin1');

  before(async () => {
    chmodSync(top, 0o755);
    mkdirSync(open);
    chownSync(open, OTHER_USER.uid, OTHER_USER.gid);
    // Too long for the address of a socket: an older version looked below the temporary folder then.
    folder = join(top, 'a'.repeat(100));
    mkdirSync(join(folder, 'disk'), { recursive: true });
    const content = Buffer.alloc(100_000, 'a film');
    writeFileSync(join(folder, 'disk', 'film.mkv'), content);
    torrent = join(folder, 'film.torrent');
    const announce = 'http://tracker.invalid/7f3c9a51d2e84b06/announce';
    writeFileSync(torrent, makeTorrent({ name: 'film.mkv', content, announce }).raw);
    autotorrent = await autotorrentIn({ folder, disks: [join(folder, 'disk')] });
    assert.equal((await autotorrent.run('rebuild')).code, 0);
  });
  afterEach(async () => {
    for (const squatter of squatters.splice(0)) {
      const ended = new Promise((resolve) => {
        squatter.once('exit', resolve);
      });
      squatter.kill();
      await ended;
    }
  });
  after(() => delete process.env['TMPDIR']);

  it('below the temporary folder is not asked: the server listens with its state, however long the path', async () => {
    const temporary = join(top, 'tmp');
    mkdirSync(temporary);
    chmodSync(temporary, 0o1777);
    const squatted = join(temporary, 'autotorrent-0');
    mkdirSync(squatted, { mode: 0o755 });
    chownSync(squatted, OTHER_USER.uid, OTHER_USER.gid);
    const digest = createHash('sha256').update(autotorrent.statePath).digest('hex').slice(0, 16);
    await squat(join(squatted, `autotorrent-${digest}.sock`));
    const runtime = process.env['XDG_RUNTIME_DIR'];
    delete process.env['XDG_RUNTIME_DIR'];
    process.env['TMPDIR'] = temporary;
    try {
      const { code, stderr } = await autotorrent.run('add', torrent);
      assert.equal(code, 1);
      assert.match(stderr, /no server runs/);
      assert.equal(got(), '');
      const server = await autotorrent.mount();
      try {
        assert.equal((await autotorrent.run('add', torrent)).code, 0);
        assert.ok(existsSync(join(autotorrent.statePath, 'socket')));
      } finally {
        await server.stop();
      }
      assert.equal(existsSync(join(autotorrent.statePath, 'socket')), false, 'the server removes it');
      assert.equal(got(), '');
    } finally {
      delete process.env['TMPDIR'];
      if (runtime !== undefined) process.env['XDG_RUNTIME_DIR'] = runtime;
    }
  });

  it('in the state folder is refused, made while the folder was open to him', async () => {
    const socket = statePaths(autotorrent.statePath).socket;
    await squat(join(open, 'socket'));
    renameSync(join(open, 'socket'), socket);
    try {
      for (const args of [['add', torrent], ['list'], ['unmount']]) {
        const { code, stderr } = await autotorrent.run(...args);
        assert.equal(code, 1, args.join(' '));
        assert.match(stderr, /socket is no socket of this user's[\s\S]*look who made it, and delete it/);
      }
      assert.equal(got(), '');
    } finally {
      rmSync(socket, { force: true });
    }
  });

  it('is refused also where its file looks like ours: the kernel knows who listens', async () => {
    const socket = statePaths(autotorrent.statePath).socket;
    await squat(join(open, 'socket'));
    renameSync(join(open, 'socket'), socket);
    chownSync(socket, 0, 0);
    try {
      const { code, stderr } = await autotorrent.run('add', torrent);
      assert.equal(code, 1);
      assert.match(stderr, /a program of user 54321 listens on .*socket/);
      assert.equal(got(), '');
    } finally {
      rmSync(socket, { force: true });
    }
  });

  it("of the index process is refused, and its folder is not another user's", async () => {
    const beside = join(folder, 'index.process');
    process.env['AUTOTORRENT_INDEX_IDLE_MS'] = '1';
    try {
      await waitUntil('no index process', async () => !existsSync(join(beside, 'socket')));
      process.env['AUTOTORRENT_INDEX_IDLE_MS'] = '1000';
      await squat(join(open, 'socket'));
      renameSync(join(open, 'socket'), join(beside, 'socket'));
      const refused = await autotorrent.run('add', torrent, '--dry-run');
      assert.match(refused.stderr, /is no socket of this user's/);
      chownSync(join(beside, 'socket'), 0, 0);
      const known = await autotorrent.run('add', torrent, '--dry-run');
      assert.match(known.stderr, /a program of user 54321 listens on/);
      assert.equal(got(), '');
      rmSync(join(beside, 'socket'));
      chownSync(beside, OTHER_USER.uid, OTHER_USER.gid);
      await squat(join(open, 'socket'));
      renameSync(join(open, 'socket'), join(beside, 'socket'));
      // sudo may keep the runtime folder of the user who called it.
      const runtime = join(open, 'runtime');
      const digest = createHash('sha256').update(join(folder, 'index')).digest('hex').slice(0, 16);
      mkdirSync(join(runtime, `index-${digest}`), { recursive: true, mode: 0o700 });
      for (const path of [runtime, join(runtime, `index-${digest}`)]) {
        chmodSync(path, 0o700);
        chownSync(path, OTHER_USER.uid, OTHER_USER.gid);
      }
      await squat(join(open, 'other'));
      renameSync(join(open, 'other'), join(runtime, `index-${digest}`, 'socket'));
      process.env['XDG_RUNTIME_DIR'] = runtime;
      const elsewhere = await autotorrent.run('add', torrent, '--dry-run');
      assert.equal(elsewhere.code, 0, elsewhere.stderr);
      assert.equal(got(), '');
    } finally {
      delete process.env['AUTOTORRENT_INDEX_IDLE_MS'];
      delete process.env['XDG_RUNTIME_DIR'];
      rmSync(beside, { recursive: true, force: true });
    }
  });

  it('a client of another user gets no answer of a server whose socket he can reach', async () => {
    const shared = join(top, 'shared');
    mkdirSync(shared);
    let told = '';
    const logger = createLogger('info', (line) => {
      told += line;
    });
    let asked = 0;
    const store = { status: async () => ++asked } as unknown as ServedStore;
    const server = await startControlServer(store, join(shared, 'socket'), logger);
    // As if the administrator had opened both.
    chmodSync(shared, 0o755);
    chmodSync(join(shared, 'socket'), 0o666);
    try {
      const ask = `require('node:http').get({ socketPath: process.argv[1], path: '/v1/status' }, (r) => console.log('answer', r.statusCode)).on('error', (e) => console.log(e.code))`;
      const path = join(shared, 'socket');
      const { stdout: answer } = await asOtherUser('exec "$@"', process.execPath, '-e', ask, path);
      assert.match(answer, /ECONNRESET|EPIPE/);
    } finally {
      await server.close();
    }
    assert.equal(asked, 0);
    assert.match(told, /control socket: user 54321 was refused/);
  });
});

describe('the check of who is at the other end', () => {
  it('lets this user through, both ways', async () => {
    const folder = temporaryFolder('peer');
    const peers = new Peers();
    const taken: Socket[] = [];
    const server = createServer((socket) => taken.push(socket));
    await new Promise<void>((resolve) => {
      server.listen(join(folder, 'socket'), resolve);
    });
    const socket = await dial(folder, 'socket', peers);
    await waitUntil('the connection', async () => taken.length === 1);
    assert.deepEqual(
      taken.map((one) => peers.stranger(one)),
      [undefined],
    );
    socket.destroy();
    server.close();
  });

  it('knows of no server where the folder is missing, and asks none in a folder that others may write to', async () => {
    const folder = temporaryFolder('peer-folder');
    assert.equal(await ControlClient.connect(join(folder, 'none', 'socket')), undefined);
    chmodSync(folder, 0o777);
    await assert.rejects(ControlClient.connect(join(folder, 'socket')), {
      code: 'SERVER',
      message: /every user may write/,
    });
    const store = {} as unknown as ServedStore;
    await assert.rejects(startControlServer(store, join(folder, 'socket'), silentLogger), { code: 'SERVER' });
    chmodSync(folder, 0o700);
  });
});
