/** A symlink in place of the configuration that is to be made, and a disk that fills up while it is written. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, lstat, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { createConfig } from '../../src/config/create.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { asOtherUser, NEEDS_ROOT } from '../harness/other-user.ts';

const exec = promisify(execFile);

describe('a new configuration', { skip: NEEDS_ROOT }, () => {
  let folder: string;
  before(async () => {
    folder = temporaryFolder('config');
    await chmod(folder, 0o755);
  });

  it('is never written through a symlink', async () => {
    const shared = join(folder, 'shared');
    await mkdir(shared);
    await chmod(shared, 0o1777);
    const secret = join(folder, 'secret');
    await writeFile(secret, 'secret', { mode: 0o600 });
    await mkdir(join(folder, 'root-only'), { mode: 0o700 });
    const script = 'ln -s "$2" "$1/present.conf"; ln -s "$3/new" "$1/dangling.conf"';
    assert.equal((await asOtherUser(script, shared, secret, join(folder, 'root-only'))).code, 0);
    for (const name of ['present.conf', 'dangling.conf']) {
      await assert.rejects(createConfig(join(shared, name)), { code: 'CONFIG', message: /already exists/ });
      assert.ok((await lstat(join(shared, name))).isSymbolicLink());
    }
    assert.equal(await readFile(secret, 'utf8'), 'secret');
    assert.deepEqual(await readdir(join(folder, 'root-only')), []);
    assert.deepEqual((await readdir(shared)).toSorted(), ['dangling.conf', 'present.conf']);
  });

  it('is only for its owner', async () => {
    const file = join(folder, 'own.conf');
    await createConfig(file);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    assert.equal((await stat(file)).nlink, 1);
    assert.notEqual((await asOtherUser('cat "$1"', file)).code, 0);
  });

  it('is there whole or not at all', async () => {
    const small = join(folder, 'small');
    await mkdir(small);
    await exec('mount', ['-t', 'tmpfs', '-o', 'size=4k', 'tmpfs', small]);
    try {
      await assert.rejects(createConfig(join(small, 'autotorrent.conf')), { code: 'CONFIG', message: /ENOSPC/ });
      assert.deepEqual(await readdir(small), []);
    } finally {
      await exec('umount', [small]);
    }
  });
});
