/** `.ci/set-up` with git and npm replaced: its steps for a version, and its failures. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmod, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { temporaryFolder } from '../harness/folder.ts';

let folder: string;
beforeEach(async () => {
  folder = temporaryFolder('set-up');
  await mkdir(join(folder, '.ci'));
  await mkdir(join(folder, 'bin'));
  await copyFile('.ci/set-up', join(folder, '.ci/set-up'));
  await stub('git', 'for last in "$@"; do :; done; mkdir "$last"');
  await stub('npm', `echo "npm $*" >>"${folder}/calls"`);
});

async function stub(name: string, body: string): Promise<void> {
  const path = join(folder, 'bin', name);
  await writeFile(path, `#!/bin/sh\n${body}\n`);
  await chmod(path, 0o755);
}

/** Runs it with an npx that does `body`. */
async function setUp(
  body: string,
  ...args: string[]
): Promise<{ status: number | null; out: string; calls: string[] }> {
  await stub('npx', `echo "npx $*" >>"${folder}/calls"\n${body}`);
  const { status, stdout } = spawnSync(join(folder, '.ci/set-up'), args, {
    env: { PATH: `${join(folder, 'bin')}:${join(process.execPath, '..')}:/usr/bin:/bin` },
    encoding: 'utf8',
    timeout: 60_000,
  });
  const calls = (await readFile(join(folder, 'calls'), 'utf8')).trim().split('\n');
  return { status, out: stdout, calls: calls.filter((call) => !call.endsWith(' --version')) };
}

const CI = '[ "$3" = ci ] ||  exit 0';

describe('.ci/set-up', () => {
  it('installs with the npm that is asked for, and shows the demonstration', async () => {
    const { status, out, calls } = await setUp('exit 0', 'own', '9', 'quickstart');
    assert.equal(status, 0, out);
    assert.deepEqual(calls, ['npx --yes npm@9 ci', 'npm run quickstart']);
  });

  it('fails where npm ci calls for a compiler, also where npm itself does not mind', async () => {
    const { status, out } = await setUp(`${CI}; g++ -c addon.cc; exit 0`, 'own', '10');
    assert.equal(status, 1);
    assert.match(out, /npm ci called for a compiler:\ng\+\+ -c addon\.cc\n/);
  });

  it('fails where npm ci fails, and goes no further', async () => {
    const { status, calls } = await setUp(`${CI}; exit 1`, 'own', '10', 'quickstart');
    assert.equal(status, 1);
    assert.deepEqual(calls, ['npx --yes npm@10 ci']);
  });

  it('names what failed of all that CI asks for', async () => {
    const { status, out } = await setUp(`[ "$2 $3" != "npm@10 ci" ]`);
    assert.equal(status, 1);
    assert.match(out, /set-up: own 9 quickstart: passed/);
    assert.match(out, /set-up: own 10 pack: failed/);
    assert.match(out, /set-up: 26 11 quickstart: passed/);
  });
});
