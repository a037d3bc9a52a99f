/**
 * Clients that run as another user than the server, which is root's: their user is learnt, and the files in the mount belong to
 * him. With each real client, over TCP and by rTorrent's unix socket.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import type { AddOutcome } from '../../src/app/add-outcome.ts';
import type { StatusJson } from '../../src/cli/json.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { type Daemon, waitUntil } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';
import { commandAs, NEEDS_ROOT, type User } from '../harness/other-user.ts';
import { type ClientKind, type Member, type MemberOptions, sectionOf, startMember } from '../harness/swarm.ts';

const run = promisify(execFile);

/** Two accounts that every Debian has. */
const BACKUP: User = { uid: 34, gid: 34 };
const NEWS: User = { uid: 9, gid: 9 };

const SAYS = /runs as backup \(34\): the files in the mount belong to that user from now on/;

describe('a client that runs as another user than the server', { skip: NEEDS_ROOT, concurrency: 4 }, () => {
  let addresses = 170;

  const member = async (t: TestContext, kind: ClientKind, options: MemberOptions): Promise<Member> => {
    const started = await startMember(kind, `127.0.0.${addresses++}`, options);
    t.after(async () => {
      await started.client.close();
      await started.daemon.stop();
    });
    return started;
  };

  /** A torrent whose film only root may read, and whose second file is missing. */
  const scene = async (
    clients: readonly (readonly [section: string, member: Member])[],
    general: readonly string[] = [],
  ): Promise<{ autotorrent: Autotorrent; infoHash: string; whole: string }> => {
    const folder = temporaryFolder('client-user');
    const film = Buffer.alloc(200_000, 'film');
    const content = [
      { path: ['film.mkv'], data: film },
      { path: ['film.nfo'], data: Buffer.alloc(20_000, 'nfo') },
    ];
    await mkdir(join(folder, 'disk', 'Film'), { recursive: true });
    await writeFile(join(folder, 'disk', 'Film', 'film.mkv'), film, { mode: 0o600 });
    const torrent = makeTorrent({ name: 'Film', announce: 'http://127.0.0.1:1/announce', content });
    await writeFile(join(folder, 'film.torrent'), torrent.raw);
    const sections = clients.flatMap(([section, one]) => [`[client${section}]`, ...sectionOf(one)]);
    const autotorrent = await autotorrentIn({
      folder,
      disks: [join(folder, 'disk')],
      general: ['add_limit_percent = 50', ...general],
      client: sections.slice(1),
    });
    // Its users must reach the mount.
    await run('chmod', ['755', folder]);
    assert.equal((await autotorrent.run('rebuild')).code, 0);
    return { autotorrent, infoHash: torrent.infoHash, whole: join(autotorrent.storePath, 'film', 'Film') };
  };

  const serve = async (t: TestContext, autotorrent: Autotorrent): Promise<Daemon> => {
    const server = await autotorrent.mount();
    t.after(() => server.stop());
    await waitUntil('it says who reads', async () => /User .* reads all files/.test(server.output()));
    return server;
  };

  const ownerOf = async (autotorrent: Autotorrent): Promise<unknown> =>
    ((await autotorrent.json('status')) as StatusJson).owner;

  const KINDS: readonly (readonly [string, ClientKind, MemberOptions])[] = [
    ['rTorrent by its unix socket', 'rtorrent', {}],
    ['rTorrent over TCP', 'rtorrent', { scgi: 'tcp' }],
    ['Deluge', 'deluge', {}],
    ['Transmission', 'transmission', {}],
    ['qBittorrent', 'qbittorrent', {}],
  ];
  for (const [title, kind, options] of KINDS) {
    it(`owns the files from the first add on: ${title}`, async (t) => {
      const one = await member(t, kind, { user: BACKUP, ...options });
      const { autotorrent, infoHash, whole } = await scene([['', one]]);
      const server = await serve(t, autotorrent);
      assert.deepEqual(await ownerOf(autotorrent), { uid: 0, gid: 0, from: 'server' });

      const { code, stdout, stderr } = await autotorrent.run('--json', 'add', 'film.torrent');
      const [outcome] = JSON.parse(stdout) as AddOutcome[];
      assert.deepEqual([code, outcome?.status], [0, 'OK'], stdout + stderr);
      assert.match(stderr, SAYS);
      assert.deepEqual(await ownerOf(autotorrent), { ...BACKUP, from: 'client' });
      const { uid, gid } = await stat(join(whole, 'film.mkv'));
      assert.deepEqual({ uid, gid }, BACKUP);
      // It reads what only root may read on the disk.
      await waitUntil('the client has the film', async () => {
        const [state] = await one.client.list([infoHash]);
        return state !== undefined && state.activity === 'downloading' && state.progress > 0.8;
      });
      // And may write what is missing.
      const write = `printf x | dd of="$1" conv=notrunc status=none`;
      const [command, ...args] = [...commandAs(BACKUP), 'sh', '-c', write, 'sh', join(whole, 'film.nfo')];
      await run(command, args);

      // It is said once.
      const { stderr: again } = await autotorrent.run('test-connection');
      assert.doesNotMatch(again, /runs as/);
      await server.stop();
      const next = await serve(t, autotorrent);
      assert.match(next.output(), /User backup, as whom the client runs, reads all files/);
      assert.equal((await stat(join(whole, 'film.mkv'))).uid, BACKUP.uid);
    });
  }

  it('is learnt by test-connection, with and without a server', async (t) => {
    const one = await member(t, 'transmission', { user: BACKUP });
    const { autotorrent } = await scene([['', one]]);
    const { stdout, stderr } = await autotorrent.run('--json', 'test-connection');
    assert.deepEqual((JSON.parse(stdout) as { runs_as?: unknown }).runs_as, { ...BACKUP, name: 'backup' });
    assert.match(stderr, SAYS);
    await serve(t, autotorrent);
    assert.deepEqual(await ownerOf(autotorrent), { ...BACKUP, from: 'client' });
    // What the state says of the user is only believed while his name is his.
    const file = join(autotorrent.statePath, 'known_daemons');
    await writeFile(file, (await readFile(file, 'utf8')).replace(':backup', ':somebody'));
    assert.match((await autotorrent.run('test-connection')).stderr, SAYS);
  });

  it('may not write where owner names another user, which is said', async (t) => {
    const one = await member(t, 'transmission', { user: BACKUP });
    const { autotorrent } = await scene([['', one]], ['owner = news:news']);
    const told =
      /Transmission runs as backup \(34\), and the files in the mount belong to news \(9\), as owner says\. .*Set owner = backup:backup in /;
    assert.match((await autotorrent.run('test-connection')).stderr, told);
    const server = await serve(t, autotorrent);
    assert.match(server.output(), told);
    assert.deepEqual(await ownerOf(autotorrent), { ...NEWS, from: 'configuration' });
    const { stderr } = await autotorrent.run('add', 'film.torrent');
    assert.match(stderr, told);
    assert.match((await autotorrent.run('status')).stderr, told);
  });

  it('is no default where clients run as different users', async (t) => {
    const one = await member(t, 'transmission', { user: BACKUP });
    const two = await member(t, 'qbittorrent', { user: NEWS });
    const { autotorrent } = await scene([
      ['', one],
      ['-two', two],
    ]);
    await serve(t, autotorrent);
    assert.match((await autotorrent.run('test-connection')).stderr, SAYS);
    assert.deepEqual(await ownerOf(autotorrent), { ...BACKUP, from: 'client' });
    const { stderr } = await autotorrent.run('-l', 'two', 'test-connection');
    assert.doesNotMatch(stderr, /from now on/);
    assert.match(
      stderr,
      /Transmission runs as backup \(34\), qBittorrent runs as news \(9\), and .* belong to root \(0\)\./,
    );
    assert.match(stderr, /The clients run as different users, and only one can write: owner = USER:GROUP in /);
    assert.deepEqual(await ownerOf(autotorrent), { uid: 0, gid: 0, from: 'server' });
  });

  it('is learnt anew when it runs as another user', async (t) => {
    const one = await member(t, 'deluge', { user: BACKUP });
    const { autotorrent } = await scene([['', one]]);
    await serve(t, autotorrent);
    assert.match((await autotorrent.run('test-connection')).stderr, SAYS);
    await one.daemon.restartAs(NEWS);
    assert.match(
      (await autotorrent.run('test-connection')).stderr,
      /Deluge runs as news \(9\): the files in the mount/,
    );
    assert.deepEqual(await ownerOf(autotorrent), { ...NEWS, from: 'client' });
    // Root reads and writes all, whoever owns it.
    await one.daemon.restartAs({ uid: 0, gid: 0 });
    assert.doesNotMatch((await autotorrent.run('test-connection')).stderr, /runs as/);
    assert.deepEqual(await ownerOf(autotorrent), { uid: 0, gid: 0, from: 'server' });
  });

  it('stays unknown behind a program that forwards to it', async (t) => {
    const one = await member(t, 'transmission', { user: BACKUP });
    const target = new URL(one.daemon.url);
    const forward = `
      const net = require('node:net');
      net.createServer((one) => {
        const two = net.connect(${target.port}, '127.0.0.1');
        one.pipe(two).pipe(one);
        for (const each of [one, two]) each.on('error', () => { one.destroy(); two.destroy(); });
      }).listen(0, '127.0.0.1', function () { console.log(this.address().port); });`;
    const [command, ...args] = [...commandAs(NEWS), process.execPath, '-e', forward];
    const child = execFile(command, args, { cwd: '/' });
    t.after(() => child.kill());
    const port = await new Promise<string>((resolve) =>
      child.stdout?.once('data', (text) => resolve(String(text).trim())),
    );
    target.port = port;
    const through: Member = { ...one, daemon: { ...one.daemon, url: target.href } };
    const { autotorrent } = await scene([['', through]]);
    await serve(t, autotorrent);
    const { code, stdout, stderr } = await autotorrent.run('--json', 'test-connection');
    assert.equal(code, 0, stderr);
    assert.equal((JSON.parse(stdout) as { runs_as?: unknown }).runs_as, undefined);
    assert.doesNotMatch(stderr, /runs as|owner/);
    assert.doesNotMatch(await readFile(join(autotorrent.statePath, 'known_daemons'), 'utf8'), /runs-as/);
    assert.deepEqual(await ownerOf(autotorrent), { uid: 0, gid: 0, from: 'server' });
  });
});
