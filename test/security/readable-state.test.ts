/** Attack: another user of the machine reads the state: whole .torrents with their passkeys, names in private folders. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';
import { asOtherUser, NEEDS_ROOT } from '../harness/other-user.ts';

const PASSKEY = '7f3c9a51d2e84b06';
const CLOSED = /could be read by other users: it is closed to them now \(0700\)/g;

describe('another user who reads the state', { skip: NEEDS_ROOT }, () => {
  const folder = temporaryFolder('readable-state');
  const parts = ['index', 'index.process', 'index.hashes', 'index.pool', 'state'].map((name) => join(folder, name));
  const content = Buffer.alloc(200_000, 'film');
  let autotorrent: Autotorrent;
  let torrents = 0;

  /** What the other user finds in it: each file that he can read, and each name that he can list. */
  const found = async (): Promise<string> => {
    const { stdout } = await asOtherUser('for d; do find "$d" -readable 2>/dev/null; done; true', ...parts);
    return stdout;
  };
  const passkeys = async (): Promise<string> => {
    const { stdout } = await asOtherUser(`grep -rls ${PASSKEY} "$@"; true`, ...parts);
    return stdout;
  };
  const serveOnce = async (): Promise<string> => {
    const server = await autotorrent.mount();
    // Another torrent each time, which is hashed.
    const info = { source: `${torrents++}` };
    const torrent = join(folder, `film ${info.source}.torrent`);
    const announce = `http://tracker.invalid/${PASSKEY}/announce`;
    writeFileSync(torrent, makeTorrent({ name: 'film.mkv', content, announce, info }).raw, { mode: 0o600 });
    const { code, stdout, stderr } = await autotorrent.run('add', torrent);
    await server.stop();
    assert.equal(code, 0, stdout + stderr);
    return server.output() + stderr;
  };

  before(async () => {
    // As the user's home: others may pass through it.
    chmodSync(folder, 0o755);
    const disk = join(folder, 'disk');
    mkdirSync(disk);
    writeFileSync(join(disk, 'film.mkv'), content);
    autotorrent = await autotorrentIn({ folder, disks: [disk] });
  });
  after(async () => {
    await autotorrent.run('unmount');
  });

  it('finds nothing in what is made anew, under the usual umask', async () => {
    const umask = process.umask(0o022);
    try {
      assert.equal((await autotorrent.run('rebuild')).code, 0);
      await serveOnce();
    } finally {
      process.umask(umask);
    }
    for (const part of parts.filter((path) => !path.endsWith('.pool'))) {
      assert.equal(statSync(part).mode & 0o777, 0o700, part);
      for (const { name, parentPath } of readdirSync(part, { recursive: true, withFileTypes: true })) {
        const path = join(parentPath, name);
        assert.equal(statSync(path).mode & 0o077, 0, path);
      }
    }
    assert.equal(await found(), '');
    assert.equal(await passkeys(), '');
  });

  it('finds nothing in what an older version made, once a server and a command have run', async () => {
    // The pool of an older version, too: 0755, its files 0444.
    mkdirSync(join(folder, 'index.pool', 'film'), { recursive: true });
    writeFileSync(join(folder, 'index.pool', 'film', 'a.mkv'), PASSKEY);
    asRoot('chmod -R go+rX "$@"', parts);
    assert.match(await found(), /state\/store\/CURRENT/, 'the state is as open as an older version left it');
    const log = await serveOnce();
    // The server closes the state and the pool, `add` the index and the cache of hashes: each with a line.
    assert.deepEqual(log.match(CLOSED)?.length, 4, log);
    assert.equal(await found(), '');
    assert.equal(await passkeys(), '');
    for (const path of ['store', 'overlay'].map((name) => join(folder, 'state', name))) {
      assert.equal(statSync(path).mode & 0o777, 0o700, path);
    }
    assert.equal(statSync(join(folder, 'state', 'store', 'CURRENT')).mode & 0o777, 0o600);
    assert.equal(statSync(join(folder, 'index.pool', 'film')).mode & 0o777, 0o700);
    assert.equal(statSync(join(folder, 'index.pool', 'film', 'a.mkv')).mode & 0o777, 0o644, 'files of the pool stay');
    assert.deepEqual((await autotorrent.run('rebuild')).stderr.match(CLOSED), null, 'it is said once');
  });

  it('leaves what lies in a shared folder with the state to whom it is for', async () => {
    writeFileSync(join(folder, 'state', 'notes.txt'), 'for all', { mode: 0o644 });
    asRoot('chmod 755 "$1" "$1/store"; chmod 644 "$1/notes.txt" "$1/store"/*', [join(folder, 'state')]);
    const log = await serveOnce();
    assert.match(log, /stays open to other users, since other things lie in it \(notes\.txt\)/);
    assert.equal((await asOtherUser('cat "$1"', join(folder, 'state', 'notes.txt'))).stdout, 'for all');
    assert.equal(await passkeys(), '');
  });

  it('still sees the mount point, which the server made', async () => {
    const deep = { ...autotorrent, config: join(folder, 'deep.conf') };
    writeFileSync(
      deep.config,
      readFileSync(autotorrent.config, 'utf8').replace('store_path = store', 'store_path = mounts/films/store'),
    );
    const umask = process.umask(0o022);
    try {
      await autotorrent.run('-c', deep.config, 'mount', '--daemon');
      const seen = await asOtherUser('ls "$1"', join(folder, 'mounts', 'films', 'store'));
      assert.deepEqual([seen.code, seen.stderr], [0, '']);
    } finally {
      process.umask(umask);
      await autotorrent.run('-c', deep.config, 'unmount');
    }
  });
});

function asRoot(script: string, args: readonly string[]): void {
  execFileSync('sh', ['-c', script, 'sh', ...args]);
}

describe('the pool, which only the server may enter', () => {
  it('is no original that a client is pointed at: it gets the mount', async () => {
    const folder = temporaryFolder('private-pool');
    const content = Buffer.alloc(200_000, 'pooled');
    mkdirSync(join(folder, 'index.pool', 'x'), { recursive: true, mode: 0o700 });
    writeFileSync(join(folder, 'index.pool', 'x', 'pooled.mkv'), content, { mode: 0o444 });
    mkdirSync(join(folder, 'disk'));
    const torrent = join(folder, 'pooled.torrent');
    writeFileSync(torrent, makeTorrent({ name: 'pooled.mkv', content }).raw);
    const general = ['scan_mode = exact', 'exact_target = original'];
    const autotorrent = await autotorrentIn({ folder, disks: [join(folder, 'disk')], general });
    assert.equal((await autotorrent.run('rebuild')).code, 0);
    const server = await autotorrent.mount();
    try {
      const { code, stdout, stderr } = await autotorrent.run('add', torrent);
      assert.equal(code, 0, stdout + stderr);
      const [entry] = (await autotorrent.json('list')) as readonly { readonly directory: string }[];
      assert.equal(entry?.directory, join(autotorrent.storePath, 'pooled'));
    } finally {
      await server.stop();
    }
  });
});
