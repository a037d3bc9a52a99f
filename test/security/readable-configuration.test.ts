/**
 * Another user of the machine reads the configuration with its password, changes it, or puts one of his own where root runs
 * a command.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, describe, it } from 'node:test';
import { asOtherUser, NEEDS_ROOT, OTHER_USER } from '../harness/other-user.ts';

const PROGRAM = resolve('dist/src/main.js');
const WITH_PASSWORD = `[general]\nstore_path = store\n[client]\nclient = transmission\nurl = http://127.0.0.1:1\npassword = hidden\n`;
const IN_URL = `[general]\nstore_path = store\n[client]\nclient = rtorrent\nurl = http://me:hidden@127.0.0.1:1/RPC2\n`;
const WITHOUT = `[general]\nstore_path = store\n[client]\nclient = none\n#password = x\n`;

interface Ran {
  readonly code: number;
  readonly stderr: string;
}

describe('the configuration, on a machine with other users', { skip: NEEDS_ROOT }, () => {
  // Not a folder of mode 0700, which would protect everything in it.
  const base = mkdtempSync('/tmp/autotorrent-config-');
  chmodSync(base, 0o755);
  after(() => rmSync(base, { recursive: true, force: true }));
  let count = 0;

  const folderOf = (mode = 0o755): string => {
    const folder = join(base, String(count++));
    mkdirSync(folder);
    chmodSync(folder, mode);
    return folder;
  };
  const written = (text: string, mode: number, folder = folderOf()): string => {
    const file = join(folder, 'autotorrent.conf');
    writeFileSync(file, text);
    chmodSync(file, mode);
    return file;
  };
  const run = (args: readonly string[], cwd = '/', env: Record<string, string> = {}): Promise<Ran> =>
    new Promise((done) => {
      const options = { cwd, env: { ...process.env, SUDO_UID: '', ...env } };
      const child = execFile(process.execPath, [PROGRAM, ...args], options, (_, _stdout, stderr) =>
        done({ code: child.exitCode ?? 128, stderr }),
      );
    });
  const warnings = ({ stderr }: Ran, what: RegExp): number =>
    stderr.split('\n').filter((line) => what.test(line)).length;

  it('warns once where others may read a password, and says the remedy', async () => {
    for (const [text, mode, expected] of [
      [WITH_PASSWORD, 0o644, 1],
      [IN_URL, 0o604, 1],
      [WITH_PASSWORD, 0o600, 0],
      [WITHOUT, 0o644, 0],
    ] as const) {
      const file = written(text, mode);
      assert.equal((await asOtherUser('cat "$1"', file)).code, mode === 0o600 ? 1 : 0);
      // Three commands in one process.
      const ran = await run(['-c', file, '-t', '-r', '-a', '/dev/null']);
      assert.equal(warnings(ran, /may read .*chmod 600 /), expected, ran.stderr);
      if (expected === 1) assert.ok(ran.stderr.includes(`chmod 600 ${file}`));
    }
    // Nobody gets at it.
    const hidden = written(WITH_PASSWORD, 0o644, folderOf(0o700));
    assert.equal((await asOtherUser('cat "$1"', hidden)).code, 1);
    assert.equal(warnings(await run(['-c', hidden, 'status']), /may read/), 0);
  });

  it('refuses one that others may change', async () => {
    for (const mode of [0o646, 0o602]) {
      const file = written(WITHOUT, mode);
      const changed = await asOtherUser('echo "# mine now" >> "$1"', file);
      assert.equal(changed.code, 0);
      const { code, stderr } = await run(['-c', file, 'status']);
      assert.deepEqual([code, /is refused: other users .* may change it/.test(stderr)], [2, true], stderr);
      assert.ok(stderr.includes(`chmod go-w ${file}`));
    }
    const group = written(WITHOUT, 0o660);
    chownSync(group, 0, OTHER_USER.gid);
    assert.equal((await asOtherUser('echo "# mine now" >> "$1"', group)).code, 0);
    assert.equal((await run(['-c', group, 'status'])).code, 2);
  });

  it('does not obey a stranger whose file lies where root happens to be', async () => {
    const folder = folderOf(0o1777);
    const made = await asOtherUser(
      'printf "%s" "$2" > "$1/autotorrent.conf"; chmod 644 "$1/autotorrent.conf"',
      folder,
      WITHOUT,
    );
    assert.equal(made.code, 0, made.stderr);
    const found = await run(['status'], folder);
    assert.equal(found.code, 2, found.stderr);
    assert.match(found.stderr, /belongs to another user \(uid 54321\), and nobody named it/);
    // Whoever names it has decided.
    const named = await run(['-c', join(folder, 'autotorrent.conf'), 'status']);
    assert.equal(named.code, 1, named.stderr);
    assert.equal(warnings(named, /belongs to another user .*does what that user writes/), 1, named.stderr);
    // With sudo, it is the caller's own.
    const caller = await run(['status'], folder, { SUDO_UID: String(OTHER_USER.uid) });
    assert.equal(caller.code, 1, caller.stderr);
    assert.equal(warnings(caller, /belongs to another user/), 0);
  });

  it("takes a group that is the owner's alone for the owner, also when root runs the command with sudo", async () => {
    const { uid, gid } = OTHER_USER;
    const file = written(WITH_PASSWORD, 0o660);
    chownSync(join(file, '..'), uid, gid);
    chmodSync(join(file, '..'), 0o775);
    chownSync(file, uid, gid);
    const status = async (passwd: string, group: string): Promise<Ran> => {
      const accounts = folderOf(0o700);
      writeFileSync(join(accounts, 'passwd'), `root:x:0:0::/:/bin/sh\nmedia:x:${uid}:${gid}::/:/bin/sh\n${passwd}`);
      writeFileSync(join(accounts, 'group'), group);
      const script =
        'mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/group" /etc/group && cd "$2" && shift 2 && exec "$@"';
      const command = [accounts, join(file, '..'), process.execPath, PROGRAM, 'status'];
      return await new Promise((done) => {
        const options = { env: { ...process.env, SUDO_UID: String(uid) } };
        const child = execFile('unshare', ['-m', 'sh', '-c', script, 'sh', ...command], options, (_, _out, stderr) =>
          done({ code: child.exitCode ?? 128, stderr }),
        );
      });
    };
    const alone = await status('', `media:x:${gid}:media,root\n`);
    assert.equal(alone.code, 1, alone.stderr);
    assert.equal(warnings(alone, /other users of this machine|belongs to another/), 0, alone.stderr);
    for (const [passwd, group] of [
      ['', `media:x:${gid}:media,guest\n`],
      [`guest:x:54322:${gid}::/:/bin/sh\n`, ''],
    ] as const) {
      const shared = await status(passwd, group);
      assert.deepEqual([shared.code, /may change it/.test(shared.stderr)], [2, true], shared.stderr);
    }
  });

  it('warns where others may replace it', async () => {
    const folder = folderOf(0o777);
    const file = written(WITHOUT, 0o600, folder);
    assert.equal(warnings(await run(['-c', file, 'status']), /may replace .*chmod go-w /), 1);
    assert.equal((await asOtherUser('mv "$1" "$1.old"', file)).code, 0);
    const sticky = written(WITHOUT, 0o600, folderOf(0o1777));
    assert.equal(warnings(await run(['-c', sticky, 'status']), /may replace/), 0);
    assert.notEqual((await asOtherUser('mv "$1" "$1.old"', sticky)).code, 0);
  });

  for (const args of [['init'], ['--create_config']]) {
    it(`is made for its owner alone, whatever the umask: ${args[0]}`, async () => {
      const file = join(folderOf(), 'made.conf');
      const home = folderOf();
      const code = await new Promise<number>((done) => {
        const line = 'umask 000; exec "$@"';
        const all = ['-c', line, 'sh', process.execPath, PROGRAM, ...args, file];
        const child = execFile('sh', all, { cwd: base, env: { ...process.env, HOME: home } }, () =>
          done(child.exitCode ?? 128),
        );
      });
      assert.equal(code, 0);
      assert.equal(statSync(file).mode & 0o7777, 0o600);
    });
  }
});
