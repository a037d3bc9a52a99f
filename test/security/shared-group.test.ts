/**
 * Attack: a member of a group that may write to the state, or to the folder above it. A group that is the user's alone, which
 * systems with the umask 002 give to everybody, is none; nor are root's folders in a user namespace, which belong to nobody.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import { autotorrentIn } from '../harness/autotorrent.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { AS_OTHER_USER, NEEDS_ROOT, OTHER_USER } from '../harness/other-user.ts';

const PROGRAM = resolve('dist/src/main.js');
const { uid, gid } = OTHER_USER;

/** Runs the rest of its arguments where the other user has an account, and his group the members of the second argument. */
const WITH_ACCOUNT = `
set -e
{ cat /etc/passwd; echo media:x:${uid}:${gid}::/:/bin/sh; } >"$1/passwd"
{ cat /etc/group; echo "media:x:${gid}:$2"; } >"$1/group"
chmod 644 "$1/passwd" "$1/group"
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/group" /etc/group
shift 2
umask 002
exec "$@"`;

describe('state that a group may write to', { skip: NEEDS_ROOT }, () => {
  const things = temporaryFolder('shared-group-namespace');
  let folder: string;
  let index: string;
  let rebuild: readonly string[];

  const run = (words: readonly string[]): Promise<{ code: number; stderr: string }> =>
    new Promise((done) => {
      const [command = '', ...args] = words;
      const env = { ...process.env, AUTOTORRENT_INDEX_IDLE_MS: '500' };
      const child = execFile(command, args, { cwd: '/', env, timeout: 60_000 }, (_, stdout, stderr) =>
        done({ code: child.exitCode ?? 128, stderr: stdout + stderr }),
      );
    });
  const withMembers = async (members: string): Promise<{ code: number; stderr: string }> => {
    for (const name of ['passwd', 'group']) rmSync(join(things, name), { force: true });
    return await run(['unshare', '-m', 'sh', '-c', WITH_ACCOUNT, 'sh', things, members, ...AS_OTHER_USER, ...rebuild]);
  };

  beforeEach(async () => {
    folder = temporaryFolder('shared-group');
    mkdirSync(join(folder, 'disk'));
    writeFileSync(join(folder, 'disk', 'film.mkv'), 'film');
    const { config } = await autotorrentIn({ folder, disks: [join(folder, 'disk')] });
    index = join(folder, 'index');
    rebuild = [process.execPath, PROGRAM, '-c', config, 'rebuild'];
    await run(['chown', '-R', `${uid}:${gid}`, folder]);
    chmodSync(folder, 0o775);
  });
  after(() => rmSync(things, { recursive: true, force: true }));

  it('is used where nobody else is in the group, and closed', async () => {
    const made = await withMembers('');
    assert.equal(made.code, 0, made.stderr);
    chmodSync(index, 0o775);
    const again = await withMembers('media');
    assert.equal(again.code, 0, again.stderr);
    assert.match(again.stderr, /could be read by other users: it is closed to them now/);
    assert.equal(statSync(index).mode & 0o777, 0o700);
  });

  it('is refused where others are in the group: of the folder above, and of its own', async () => {
    const above = await withMembers('daemon');
    assert.equal(above.code, 1);
    assert.match(above.stderr, /the group 54321 may write to .*, and could put something else in the place of/);
    chmodSync(folder, 0o1775);
    const sticky = await withMembers('daemon');
    assert.equal(sticky.code, 0, sticky.stderr);
    chmodSync(index, 0o770);
    const itself = await withMembers('daemon');
    assert.equal(itself.code, 1);
    assert.match(itself.stderr, /the group 54321 may write to the collection index/);
  });

  it("is used in a user namespace, where root's folders above it belong to nobody", async () => {
    const { code, stderr } = await run([...AS_OTHER_USER, 'unshare', '-r', ...rebuild]);
    assert.equal(code, 0, stderr);
    assert.equal(statSync(index).uid, uid);
  });

  it("is made in a user namespace, also in a sticky folder of the outer root's, whom nobody there can become", async () => {
    chownSync(folder, 0, 0);
    chmodSync(folder, 0o1777);
    for (const again of [false, true]) {
      const { code, stderr } = await run([...AS_OTHER_USER, 'unshare', '-r', ...rebuild]);
      assert.equal(code, 0, stderr);
      assert.equal(statSync(index).uid, uid, `again: ${again}`);
    }
    // The group and all others may put something else in its place here.
    chmodSync(folder, 0o777);
    const open = await run([...AS_OTHER_USER, 'unshare', '-r', ...rebuild]);
    assert.deepEqual([open.code, /every user may write to [\s\S]*chmod \+t/.test(open.stderr)], [1, true], open.stderr);
  });
});
