/** The remedies that a refused mount is told with: AppArmor's profile, and what the kernel and the program say. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { type Confinement, refusal } from '../../../src/fuse/mounting/refusals.ts';
import { temporaryFolder } from '../../harness/folder.ts';

describe('a refused mount', () => {
  const folder = temporaryFolder('refusals');
  const confinement: Confinement = {
    loaded: join(folder, 'profiles'),
    profiles: join(folder, 'apparmor.d'),
    status: join(folder, 'status'),
  };
  const profile = join(confinement.profiles, 'fusermount3');
  const helper = (said: string) =>
    refusal({ by: 'fusermount3', said, code: undefined }, { mountPoint: '/srv/store', allowOther: false }, confinement);
  const kernel = (code: string) =>
    refusal(
      { by: 'the kernel', said: `mount: ${code}`, code },
      { mountPoint: '/srv/store', allowOther: true },
      confinement,
    );
  const DENIED = 'fusermount3: mount failed: Permission denied';

  beforeEach(() => {
    for (const path of Object.values(confinement)) rmSync(path, { recursive: true, force: true });
    mkdirSync(confinement.profiles);
  });

  it('names the profile of AppArmor that is loaded', () => {
    writeFileSync(confinement.loaded, 'ping (enforce)\nfusermount3 (enforce)\n');
    const { message, hint } = helper(DENIED);
    assert.equal(message, `/srv/store cannot be mounted, refused by fusermount3: ${DENIED}`);
    assert.match(hint, /^AppArmor lets fusermount3 mount in certain folders only/);
    assert.ok(hint.includes('`mount fstype=fuse.autotorrent -> /srv/store/,`'));
    assert.ok(hint.includes(`local/fusermount3, then apparmor_parser -r ${profile}`));
  });

  it('finds the profile by its file where the loaded ones cannot be listed', () => {
    writeFileSync(join(confinement.profiles, 'usr.bin.fusermount3'), '');
    assert.match(helper(DENIED).hint, /local\/usr\.bin\.fusermount3,/);
  });

  it('names no profile that is not enforced, or that denied nothing', () => {
    writeFileSync(profile, '');
    writeFileSync(confinement.loaded, 'fusermount3 (complain)\nfusermount3-other (enforce)\n');
    assert.doesNotMatch(helper(DENIED).hint, /AppArmor/);
    writeFileSync(confinement.loaded, 'fusermount3 (enforce)\n');
    assert.doesNotMatch(helper('fusermount3: mount failed: Operation not permitted').hint, /lets fusermount3/);
  });

  it('tells a program that is not set-uid from a process that may gain no privileges', () => {
    const said = 'fusermount3: mount failed: Operation not permitted';
    writeFileSync(confinement.status, 'NoNewPrivs:\t0\n');
    assert.match(helper(said).hint, /^fusermount3 is not set-uid root/);
    writeFileSync(confinement.status, 'NoNewPrivs:\t1\n');
    assert.match(helper(said).hint, /no_new_privs/);
  });

  it('advises by what the program said', () => {
    for (const [said, hint] of [
      ['too many FUSE filesystems mounted; mount_max=N can be set in /etc/fuse.conf', /raise mount_max/],
      ['mounting over filesystem type 0x009fa0 is forbidden', /set store_path to a folder on one/],
      ['mountpoint /srv/store not owned by user', /\(chown\)/],
    ] as const) {
      assert.match(helper(`fusermount3: ${said}`).hint, hint);
    }
  });

  it("advises by the kernel's error", () => {
    for (const code of ['EPERM', 'EACCES']) assert.match(kernel(code).hint, /SYS_ADMIN/);
    assert.match(kernel('ENODEV').hint, /modprobe fuse/);
  });

  it('shows what the program said without what would drive a terminal', () => {
    assert.match(helper('\u001b[31mno').message, /refused by fusermount3: \\x1b\[31mno$/);
    assert.match(helper('').message, /it gave no reason/);
  });
});
