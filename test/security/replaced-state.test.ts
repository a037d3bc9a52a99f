/**
 * Attack: another user puts a folder, a symlink or a log of his own where the state belongs, or may write to what is there.
 * Nothing is opened, written or mounted then.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { NEEDS_ROOT, OTHER_USER } from '../harness/other-user.ts';

/** A group that no test user is in, and which is not root's. */
const GROUP = 54_322;

describe('state that another user could have put there', { skip: NEEDS_ROOT }, () => {
  let folder: string;
  let autotorrent: Autotorrent;
  let victim: string;

  const untouched = (): void => {
    assert.equal(existsSync(autotorrent.storePath), false, 'the mount point is not even made');
    assert.deepEqual(readdirSync(victim), ['precious'], 'nothing is written where the attacker pointed');
    assert.equal(readFileSync(join(victim, 'precious'), 'utf8'), 'precious');
    assert.equal(statSync(victim).mode & 0o777, 0o755);
  };
  const refuses = async (args: readonly string[], message: RegExp, hint: RegExp): Promise<void> => {
    const { code, stderr } = await autotorrent.run(...args);
    assert.equal(code, 1, stderr);
    assert.match(stderr, message);
    assert.match(stderr, hint);
    untouched();
  };
  const give = (path: string): void => lchownSync(path, OTHER_USER.uid, OTHER_USER.gid);

  beforeEach(async () => {
    folder = temporaryFolder('replaced-state');
    chmodSync(folder, 0o755);
    mkdirSync(join(folder, 'disk'));
    writeFileSync(join(folder, 'disk', 'film.mkv'), Buffer.alloc(1000));
    victim = join(folder, 'victim');
    mkdirSync(victim, { mode: 0o755 });
    writeFileSync(join(victim, 'precious'), 'precious');
    autotorrent = await autotorrentIn({ folder, disks: [join(folder, 'disk')] });
  });

  for (const args of [['mount'], ['mount', '--daemon']]) {
    it(`${args.join(' ')}: a symlink of his in the place of state_path`, async () => {
      symlinkSync(victim, autotorrent.statePath);
      give(autotorrent.statePath);
      await refuses(args, /state is a symlink of user 54321/, /look where it leads, and delete it/);
    });

    it(`${args.join(' ')}: a state folder that a group may write to`, async () => {
      mkdirSync(autotorrent.statePath);
      chownSync(autotorrent.statePath, 0, GROUP);
      chmodSync(autotorrent.statePath, 0o770);
      await refuses(args, /the group 54322 may write to the state folder/, /chmod -R go-w/);
      assert.deepEqual(readdirSync(autotorrent.statePath), []);
    });

    it(`${args.join(' ')}: a state folder below one that he may write to`, async () => {
      const shared = join(folder, 'shared');
      mkdirSync(shared);
      chmodSync(shared, 0o777);
      const text = readFileSync(autotorrent.config, 'utf8');
      writeFileSync(autotorrent.config, text.replace('state_path = state', 'state_path = shared/state'));
      await refuses(args, /every user may write to .*shared, and could put something else/, /chmod go-w .* chmod \+t/);
      assert.deepEqual(readdirSync(shared), []);
    });
  }

  it('a folder of his above the state, which root would otherwise write to as root', async () => {
    mkdirSync(join(folder, 'his', 'state'), { recursive: true });
    mkdirSync(join(folder, 'his', 'index'));
    give(join(folder, 'his'));
    const text = readFileSync(autotorrent.config, 'utf8').replace('db = index', 'db = his/index');
    writeFileSync(autotorrent.config, text.replace('state_path = state', 'state_path = his/state'));
    await refuses(['mount'], /his belongs to user 54321, who could put something else/, /chown -R/);
    await refuses(['rebuild'], /his belongs to user 54321/, /chown -R/);
    assert.deepEqual(readdirSync(join(folder, 'his', 'state')), []);
  });

  it('a symlink of his in the place of db', async () => {
    symlinkSync(victim, join(folder, 'index'));
    give(join(folder, 'index'));
    await refuses(['rebuild'], /index is a symlink of user 54321/, /delete it/);
  });

  it('a state folder with certificates that he may have put there: no client is asked', async () => {
    mkdirSync(autotorrent.statePath);
    chmodSync(autotorrent.statePath, 0o777);
    await refuses(['test-connection'], /every user may write to the state folder/, /chmod -R go-w/);
  });

  it('an index that a group may write to', async () => {
    assert.equal((await autotorrent.run('rebuild')).code, 0);
    chownSync(join(folder, 'index'), 0, GROUP);
    chmodSync(join(folder, 'index'), 0o775);
    await refuses(['rebuild'], /the group 54322 may write to the collection index/, /chmod -R go-w/);
  });

  it('a folder in the state that he may write to, also while the state itself is only readable', async () => {
    mkdirSync(join(autotorrent.statePath, 'overlay', '01'), { recursive: true });
    chmodSync(join(autotorrent.statePath, 'overlay', '01'), 0o777);
    await refuses(['mount'], /every user may write to .*overlay\/01, in the state folder/, /chmod -R go-w/);
  });

  it("the pool, which he may write to: files in it would be every store's sources", async () => {
    mkdirSync(join(folder, 'index.pool'));
    chmodSync(join(folder, 'index.pool'), 0o777);
    await refuses(['mount'], /every user may write to the pool/, /chmod -R go-w/);
    await refuses(['rebuild'], /every user may write to the pool/, /chmod -R go-w/);
  });

  for (const [what, plant] of [
    ['a symlink', (target: string, log: string) => symlinkSync(target, log)],
    ['a hard link', (target: string, log: string) => linkSync(target, log)],
  ] as const) {
    it(`${what} in the place of a log: root would append to another file`, async () => {
      mkdirSync(autotorrent.statePath, { mode: 0o700 });
      plant(join(victim, 'precious'), join(autotorrent.statePath, 'server.log'));
      await refuses(
        ['mount', '--daemon'],
        /the log .*server\.log cannot be written to: it (is a symlink|has a second)/,
        /move it away/,
      );
      mkdirSync(join(folder, 'index.process'), { mode: 0o700 });
      plant(join(victim, 'precious'), join(folder, 'index.process', 'log'));
      await refuses(['rebuild'], /the log .*index\.process\/log cannot be written to/, /move it away/);
    });
  }

  it("his pipe in the place of a log does not hang the command, and his file is not root's log", async () => {
    mkdirSync(autotorrent.statePath, { mode: 0o700 });
    const log = join(autotorrent.statePath, 'server.log');
    writeFileSync(log, '');
    give(log);
    await refuses(['mount', '--daemon'], /it belongs to user 54321/, /move it away/);
    unlinkSync(log);
    execFileSync('mkfifo', [log]);
    await refuses(['mount', '--daemon'], /cannot be written to/, /move it away/);
  });

  it('a symlink of our own is followed, and a sticky folder above is enough', async () => {
    const shared = join(folder, 'shared');
    mkdirSync(shared);
    chmodSync(shared, 0o1777);
    mkdirSync(join(shared, 'ours'));
    symlinkSync(join(shared, 'ours'), autotorrent.statePath);
    const server = await autotorrent.mount();
    await server.stop();
    assert.equal(statSync(join(shared, 'ours')).mode & 0o777, 0o700);
    assert.ok(existsSync(join(shared, 'ours', 'store', 'CURRENT')));
    renameSync(join(shared, 'ours'), join(folder, 'moved'));
    rmSync(autotorrent.statePath);
  });
});
