/**
 * Root's commands on another user's state: they act as that user. Else root leaves files in it that the user's own commands
 * cannot open, and what the user puts there acts with root's rights.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Autotorrent, autotorrentIn, type Result } from '../harness/autotorrent.ts';
import { type Daemon, startDaemon, waitUntil } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';
import { asOtherUser, NEEDS_ROOT, OTHER_USER, type Ran } from '../harness/other-user.ts';

const PROGRAM = resolve('dist/src/main.js');

/**
 * Starts a server in a mount namespace where the other user has an account, which fusermount demands, and may open /dev/fuse,
 * which containers keep for root.
 */
const SERVE = `
set -e
mknod "$1/fuse" c 10 229
chmod 666 "$1/fuse"
mount --bind "$1/fuse" /dev/fuse
{ cat /etc/passwd; echo media:x:${OTHER_USER.uid}:${OTHER_USER.gid}::/:/bin/sh; } >"$1/passwd"
mount --bind "$1/passwd" /etc/passwd
shift
exec "$@"`;

describe("root's commands on another user's state", { skip: NEEDS_ROOT }, () => {
  // Longer than a socket's address: it is reached through /proc/self, also after the change of user.
  const top = temporaryFolder('users-state');
  const folder = join(top, 'a'.repeat(90));
  const things = temporaryFolder('users-state-namespace');
  let autotorrent: Autotorrent;
  let torrent: string;

  const ofRoot = (): string =>
    execFileSync('find', [folder, '-path', autotorrent.storePath, '-prune', '-o', '-uid', '0', '-print'], {
      encoding: 'utf8',
    });
  const asUser = async (...args: readonly string[]): Promise<Ran> =>
    await asOtherUser('exec "$@"', process.execPath, PROGRAM, '-c', autotorrent.config, ...args);
  const worked = ({ code, stdout, stderr }: Result): string => {
    assert.equal(code, 0, stdout + stderr);
    return stderr;
  };
  const serve = async (): Promise<Daemon> => {
    for (const name of ['fuse', 'passwd']) rmSync(join(things, name), { force: true });
    const server = [process.execPath, PROGRAM, '-c', autotorrent.config, 'mount'];
    const daemon = await startDaemon('unshare', ['-m', 'sh', '-c', SERVE, 'sh', things, ...server], { cwd: folder });
    await waitUntil('the server', async () => (await autotorrent.run('status')).code === 0, { daemon });
    return daemon;
  };

  before(async () => {
    process.env['AUTOTORRENT_INDEX_IDLE_MS'] = '500';
    mkdirSync(folder, { mode: 0o755 });
    chmodSync(top, 0o755);
    chmodSync(things, 0o755);
    const disk = join(folder, 'disk');
    mkdirSync(disk);
    const content = Buffer.alloc(300_000, 'a film');
    writeFileSync(join(disk, 'film.mkv'), content);
    torrent = join(folder, 'film.torrent');
    writeFileSync(torrent, makeTorrent({ name: 'film.mkv', content }).raw);
    autotorrent = await autotorrentIn({ folder, disks: [disk] });
    execFileSync('chown', ['-R', `${OTHER_USER.uid}:${OTHER_USER.gid}`, folder]);
  });
  after(() => {
    delete process.env['AUTOTORRENT_INDEX_IDLE_MS'];
  });

  it('leave no file of root in it, and say as whom they act', async () => {
    const said = /^acting as .*\b54321\b.*, whom .* belongs to$/m;
    assert.match(worked(await autotorrent.run('rebuild')), said);
    assert.equal(ofRoot(), '');
    worked(await autotorrent.run('add', torrent, '--dry-run'));
    const server = await serve();
    try {
      assert.match(server.output(), /acting as media \(54321\), whom .* belongs to/);
      assert.match(readFileSync(`/proc/${server.pid}/status`, 'utf8'), /^Uid:\t54321\t54321\t54321\t54321$/m);
      assert.match(readFileSync(`/proc/${server.pid}/status`, 'utf8'), /^Groups:\t54321 $/m);
      for (const args of [
        ['add', torrent],
        ['list'],
        ['show', 'film'],
        ['verify'],
        ['overlay', 'diff', 'film'],
        ['status'],
      ])
        assert.match(worked(await autotorrent.run(...args)), said, args.join(' '));
      worked(await autotorrent.run('overlay', 'discard', 'film', '--yes'));
      worked(await autotorrent.run('remove', 'film'));
      assert.equal(ofRoot(), '');
      worked(await autotorrent.run('unmount'));
    } finally {
      await server.stop();
    }
    assert.equal(ofRoot(), '');
  });

  it("leave that user's own commands and server at work", async () => {
    worked(await asUser('rebuild', '--full'));
    worked(await asUser('add', torrent, '--dry-run'));
    // The server, started by root, is that user's own process: it answers both.
    const server = await serve();
    try {
      worked(await asUser('add', torrent));
      worked(await asUser('verify'));
      worked(await autotorrent.run('remove', 'film'));
      worked(await asUser('unmount'));
    } finally {
      await server.stop();
    }
    assert.equal(ofRoot(), '');
  });

  it("take no secret of root's for that user: a torrent that only root may read is refused", async () => {
    const own = join(folder, 'of-root.torrent');
    writeFileSync(own, makeTorrent({ name: 'film.mkv', content: Buffer.alloc(300_000, 'a film') }).raw, {
      mode: 0o600,
    });
    try {
      const { code, stdout, stderr } = await autotorrent.run('add', own, '--dry-run');
      assert.notEqual(code, 0);
      assert.match(stdout + stderr, /may not be read by this user/);
    } finally {
      rmSync(own);
    }
  });

  it('may have a configuration that only root may read, but not for a server, whose children read it again', async () => {
    chownSync(autotorrent.config, 0, 0);
    chmodSync(autotorrent.config, 0o600);
    try {
      worked(await autotorrent.run('rebuild'));
      const { code, stderr } = await autotorrent.run('mount');
      assert.equal(code, 2, stderr);
      assert.match(stderr, /the server's user may not read .*autotorrent\.conf[\s\S]*give the file to that user/);
    } finally {
      chownSync(autotorrent.config, OTHER_USER.uid, OTHER_USER.gid);
      chmodSync(autotorrent.config, 0o644);
    }
  });

  it('are refused where db and state_path belong to different users', async () => {
    chownSync(autotorrent.statePath, 0, 0);
    try {
      const { code, stderr } = await autotorrent.run('mount');
      assert.equal(code, 1);
      assert.match(stderr, /index belongs to user 54321, and .*state to root \(0\)[\s\S]*chown -R/);
    } finally {
      chownSync(autotorrent.statePath, OTHER_USER.uid, OTHER_USER.gid);
    }
  });

  it('of a version that did not act as him: are told one command that gives the user all of it', async () => {
    const { uid, gid } = OTHER_USER;
    const parts = ['index', 'index.hashes', 'index.process', 'index.folders', 'state', 'store']
      .map((name) => join(folder, name))
      .filter((path) => existsSync(path));
    const give = (to: number, paths: readonly string[]): void => {
      execFileSync('chown', ['-R', `${to}:${to}`, ...paths]);
    };
    const index = join(folder, 'index');
    // All of it is root's, some of it is, or none of the state is there yet.
    for (const roots of [parts, parts.filter((path) => path !== autotorrent.statePath), [autotorrent.statePath]]) {
      give(uid, parts);
      give(0, roots);
      const { code, stderr } = await autotorrent.run('rebuild');
      assert.equal(code, 1, stderr);
      const [command = ''] = /chown -R 54321:\d+( \/[^\s,.]+(\.\w+)*)+/.exec(stderr) ?? [];
      assert.deepEqual(command.split(' ').slice(3).toSorted(), roots.toSorted(), stderr);
      execFileSync('sh', ['-c', command]);
      worked(await autotorrent.run('rebuild'));
      assert.equal(ofRoot(), '');
    }
    give(0, [index]);
    rmSync(autotorrent.statePath, { recursive: true });
    // The user's folder itself is not root's to take.
    assert.ok((await autotorrent.run('rebuild')).stderr.includes(`chown -R ${uid}:${gid} ${index}\n`));
    give(uid, [index]);
  });

  it('make new state for the user in whose folder it lies', async () => {
    for (const name of ['index', 'index.process', 'index.hashes', 'state']) {
      rmSync(join(folder, name), { recursive: true, force: true });
    }
    worked(await autotorrent.run('rebuild'));
    assert.ok(existsSync(join(folder, 'index', 'CURRENT')));
    assert.equal(ofRoot(), '');
  });

  it('take no group from the folder, which under a setgid folder may be one that its owner is not in', async () => {
    for (const name of ['index', 'index.process', 'state'])
      rmSync(join(folder, name), { recursive: true, force: true });
    chownSync(folder, OTHER_USER.uid, 6);
    try {
      worked(await autotorrent.run('rebuild'));
      assert.equal(statSync(join(folder, 'index', 'CURRENT')).gid, 65_534);
    } finally {
      chownSync(folder, OTHER_USER.uid, OTHER_USER.gid);
    }
  });
});
