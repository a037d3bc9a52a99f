/** `.ci/run` with npm replaced: its steps, its last lines, its failures. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmod, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { temporaryFolder } from '../harness/folder.ts';

let folder: string;
beforeEach(async () => {
  folder = temporaryFolder('ci');
  await mkdir(join(folder, '.ci'));
  await mkdir(join(folder, 'bin'));
  await copyFile('.ci/run', join(folder, '.ci/run'));
  await writeFile(join(folder, 'mounts'), 'other /mnt fuse.sshfs rw 0 0\n');
});

const CLOSING = 'ℹ tests 3\nℹ suites 1\nℹ pass 3\nℹ fail 0\nℹ cancelled 0\nℹ skipped 0\nℹ todo 0\nℹ duration_ms 12.5\n';

/** Runs it with an npm that does `body`, to which `$*` are npm's arguments. */
async function run(
  body: string,
  seconds = '60',
  testSeconds = '60',
): Promise<{ status: number | null; out: string; calls: string[] }> {
  const npm = join(folder, 'bin/npm');
  await writeFile(npm, `#!/bin/sh\necho "$*" >>"${folder}/calls"\n${body}\n`);
  await chmod(npm, 0o755);
  const setUp = join(folder, '.ci/set-up');
  await writeFile(setUp, `#!/bin/sh\necho set-up >>"${folder}/calls"\n[ ! -e "${folder}/set-up-fails" ]\n`);
  await chmod(setUp, 0o755);
  const { status, stdout } = spawnSync(join(folder, '.ci/run'), {
    cwd: tmpdir(),
    env: {
      PATH: `${join(folder, 'bin')}:/usr/bin:/bin`,
      AUTOTORRENT_CI_MOUNTS: join(folder, 'mounts'),
      AUTOTORRENT_CI_SECONDS: seconds,
      AUTOTORRENT_CI_TEST_SECONDS: testSeconds,
      AUTOTORRENT_CI_PATIENCE: '2',
    },
    encoding: 'utf8',
    timeout: 60_000,
  });
  const calls = await readFile(join(folder, 'calls'), 'utf8');
  return { status, out: stdout, calls: calls.trim().split('\n') };
}

const TEST = `[ "$1" = test ] && printf '${CLOSING.replaceAll('\n', '\\n')}'`;

describe('.ci/run', () => {
  it('installs, checks, tests, and ends with the closing lines of the tests', async () => {
    const { status, out, calls } = await run(`${TEST}\nexit 0`);
    assert.equal(status, 0, out);
    assert.deepEqual(calls, ['ci', 'run check', 'run check:advisories', 'set-up', 'test']);
    assert.ok(out.endsWith(`=== result: passed\n${CLOSING}`), out);
  });

  it('tests also where the check fails, and fails', async () => {
    const { status, out, calls } = await run(`${TEST}\n[ "$1 $2" != "run check" ]`);
    assert.equal(status, 1);
    assert.deepEqual(calls, ['ci', 'run check', 'run check:advisories', 'set-up', 'test']);
    assert.ok(out.endsWith(`=== result: failed: check\n${CLOSING}`), out);
  });

  it('fails where a test fails, whose output it passes on', async () => {
    const { status, out } = await run(`${TEST}\n[ "$1" != test ]`);
    assert.equal(status, 1);
    assert.ok(out.endsWith(`=== result: failed: test\n${CLOSING}`), out);
  });

  it('fails where the set-up fails, and tests all the same', async () => {
    await writeFile(join(folder, 'set-up-fails'), '');
    const { status, out, calls } = await run(`${TEST}\nexit 0`);
    assert.equal(status, 1);
    assert.deepEqual(calls, ['ci', 'run check', 'run check:advisories', 'set-up', 'test']);
    assert.ok(out.endsWith(`=== result: failed: set-up\n${CLOSING}`), out);
  });

  it('names the slowest files where the tests take longer than they should, and passes', async () => {
    const listed = `printf 'ℹ the slowest files:\\nℹ    12.0 s  e2e/one.test.js\\nℹ     9.5 s  two.test.js\\n'`;
    const { status, out } = await run(`[ "$1" != test ] || { sleep 1.2; ${listed}; }\n${TEST}\nexit 0`, '60', '0');
    assert.equal(status, 0, out);
    assert.match(
      out,
      /\n=== test took \d+ s, more than 0 s: its slowest files 12\.0 s {2}e2e\/one\.test\.js, 9\.5 s {2}two\.test\.js\n/,
    );
    assert.ok(out.endsWith(`=== result: passed\n${CLOSING}`), out);
  });

  it('stops where the install fails', async () => {
    const { status, out, calls } = await run('exit 7');
    assert.equal(status, 1);
    assert.deepEqual(calls, ['ci']);
    assert.ok(out.endsWith('=== result: failed: install\n'), out);
  });

  it('fails for a process that was left behind, names it, and ends it', async () => {
    const { status, out } = await run(
      `[ "$1" = test ] && { setsid sleep 300 >/dev/null 2>&1 & echo $! >"${folder}/pid"; }\nexit 0`,
    );
    const pid = (await readFile(join(folder, 'pid'), 'utf8')).trim();
    assert.equal(status, 1, out);
    assert.match(out, new RegExp(`processes that the run left behind:\\n${pid} sleep 300 \\n`));
    assert.match(out, /=== result: failed: processes left behind\n$/);
    const state = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') X');
    assert.match(state, /\) [ZX]/);
  });

  it('fails for a mount that was left behind', async () => {
    const { status, out } = await run(
      `[ "$1" = test ] && echo 'autotorrent /tmp/store fuse.autotorrent rw 0 0' >>"${folder}/mounts"\nexit 0`,
    );
    assert.equal(status, 1);
    assert.match(out, /mounts that the run left behind:\nfuse\.autotorrent \/tmp\/store\n/);
  });

  it('ends when its time is over', async () => {
    const { status } = await run('sleep 300', '1');
    assert.equal(status, 124);
  });
});
