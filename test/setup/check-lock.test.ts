/** `scripts/check-lock.ts`: the lock files that it accepts, and the faults that it names. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { temporaryFolder } from '../harness/folder.ts';

const folder = temporaryFolder('lock');
const integrity = `sha512-${'A'.repeat(86)}==`;

async function check(packages: Readonly<Record<string, object>>): Promise<{ status: number | null; err: string }> {
  const file = join(folder, 'package-lock.json');
  await writeFile(file, JSON.stringify({ lockfileVersion: 3, packages }));
  const { status, stderr } = spawnSync(process.execPath, ['dist/scripts/check-lock.js', file], { encoding: 'utf8' });
  return { status, err: stderr };
}

describe('scripts/check-lock.ts', () => {
  it('is content with packages that have an integrity, the project itself, and what lies in it', async () => {
    const { status, err } = await check({
      '': { version: '1.0.0' },
      'node_modules/a': { version: '1.0.0', integrity },
      'node_modules/b': { resolved: 'packages/b', link: true },
      'packages/b': { version: '0.0.0' },
    });
    assert.deepEqual({ status, err }, { status: 0, err: '' });
  });

  it('names a package without integrity, also one below another', async () => {
    const { status, err } = await check({
      '': {},
      'node_modules/a': { version: '1.0.0', integrity: 'sha1-AAAA' },
      'node_modules/a/node_modules/b': { version: '1.0.0' },
    });
    assert.equal(status, 1);
    assert.match(err, /node_modules\/a has no integrity/);
    assert.match(err, /node_modules\/a\/node_modules\/b has no integrity/);
    assert.match(err, /Make it anew: /);
  });

  it('names a package that is bound to a host', async () => {
    const resolved = 'https://packages.example/a.tgz';
    const { status, err } = await check({ 'node_modules/a': { version: '1.0.0', integrity, resolved } });
    assert.equal(status, 1);
    assert.match(err, /node_modules\/a is resolved to https:\/\/packages\.example\/a\.tgz/);
  });
});
