/** The benchmark's command, end to end on the smallest data: its output, its comparison, its refusals. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { describe, it } from 'node:test';
import type { Run } from '../../bench/lib/run-file.ts';
import { isAtOrBelow, readMounts } from '../../src/native/mountinfo.ts';
import { waitUntil } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';

/** Lists the command lines of all processes. */
function commandLines(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      } catch {
        return '';
      }
    });
}

describe('npm run bench', () => {
  const folder = temporaryFolder('bench');
  const file = join(folder, 'run.json');

  function bench(...args: readonly string[]): {
    readonly status: number | null;
    readonly stdout: string;
    readonly stderr: string;
  } {
    return spawnSync(process.execPath, [resolve('dist/bench/bench.js'), ...args], {
      encoding: 'utf8',
      env: { ...process.env, AUTOTORRENT_BENCH_DATA: join(folder, 'data'), AUTOTORRENT_BENCH_CLIENTS: 'nonsense' },
    });
  }

  it('measures a suite and writes the run, with what its figures depend on', () => {
    const { status, stdout, stderr } = bench('add', '--small', '--out', file);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /SUITE +WHAT +VALUE +REFERENCE +RATIO +TARGET/);
    assert.match(stderr, /generating .*tree-v1-1000-files/);
    const run = JSON.parse(readFileSync(file, 'utf8')) as Run;
    assert.equal(run.format, 1);
    assert.equal(run.size, 'small');
    assert.ok(!Number.isNaN(Date.parse(run.date)));
    assert.match(run.versions['node'] ?? '', /^v\d/);
    assert.ok(run.machine.processors >= 1 && run.machine.memory_bytes > 0 && run.machine.kernel !== '');
    const [suite] = run.suites;
    assert.equal(suite?.name, 'add');
    const [row] = suite?.rows ?? [];
    assert.ok(row !== undefined);
    assert.equal(row.figures.length, 3);
    assert.equal(row.ratios?.length, 3);
    assert.equal(row.reference?.figures.length, 3);
    assert.ok(row.value > 0 && (row.ratio ?? 0) > 0);
    assert.match(row.reference?.stands_for ?? '', /\.$/);
  });

  it('ends what it has started, and removes what it has made, when it is stopped', async () => {
    const tmp = join(folder, 't');
    await mkdir(tmp);
    const run = spawn(
      process.execPath,
      [resolve('dist/bench/bench.js'), 'start', '--small', '--out', join(folder, 'x')],
      {
        stdio: 'ignore',
        env: {
          ...process.env,
          TMPDIR: tmp,
          AUTOTORRENT_BENCH_DATA: join(folder, 'data'),
          AUTOTORRENT_BENCH_CLIENTS: 'rtorrent',
          // Only the end of the run may end the index process.
          AUTOTORRENT_INDEX_IDLE_MS: '600000',
        },
      },
    );
    const ended = once(run, 'exit');
    const mounts = async (): Promise<number> =>
      (await readMounts()).filter(({ path }) => isAtOrBelow(path, Buffer.from(tmp))).length;
    await waitUntil('a mount', async () => (await mounts()) > 0);
    assert.ok(commandLines().some((line) => line.includes(tmp)));
    run.kill('SIGTERM');
    assert.deepEqual(await ended, [143, null]);
    assert.equal(await mounts(), 0);
    assert.deepEqual(
      commandLines().filter((line) => line.includes(tmp)),
      [],
    );
    assert.deepEqual(readdirSync(tmp), []);
  });

  it('compares two runs, and fails for what is worse only where it is asked to', () => {
    const run = JSON.parse(readFileSync(file, 'utf8')) as Run;
    const faster = {
      ...run,
      suites: run.suites.map((suite) => ({
        ...suite,
        rows: suite.rows.map((row) => ({ ...row, ratio: 1e-3, ratios: [1e-3, 1e-3, 1e-3] })),
      })),
    };
    const steady = {
      ...run,
      suites: faster.suites.map((suite) => ({
        ...suite,
        rows: suite.rows.map((row) => ({ ...row, ratio: 1, ratios: [1, 1, 1] })),
      })),
    };
    writeFileSync(join(folder, 'faster.json'), JSON.stringify(faster));
    writeFileSync(join(folder, 'steady.json'), JSON.stringify(steady));
    const args = ['--compare', join(folder, 'faster.json'), '--run', join(folder, 'steady.json')];
    const told = bench(...args);
    assert.equal(told.status, 0, told.stderr);
    assert.match(told.stdout, /SUITE +WHAT +BEFORE +NOW +CHANGE +NOISE/);
    assert.match(told.stdout, /add .* 1 .*\+99900\.0% +±0\.0% +WORSE/);
    assert.equal(bench(...args, '--strict').status, 1);
    const same = bench('--compare', file, '--run', file, '--strict');
    assert.equal(same.status, 0, same.stderr);
    assert.match(same.stdout, /\bsame\b/);
  });

  it('writes the run of which a suite failed, and fails', () => {
    const out = join(folder, 'failed.json');
    const { status, stdout } = bench('start', '--small', '--out', out);
    assert.equal(status, 1);
    assert.match(stdout, /start failed: no such client: nonsense; there are rtorrent, /);
    const [suite] = (JSON.parse(readFileSync(out, 'utf8')) as Run).suites;
    assert.deepEqual(suite?.rows, []);
    assert.match(suite?.error ?? '', /no such client/);
  });

  it('names the suites where it does not know one', () => {
    const { status, stdout, stderr } = bench('ad');
    assert.equal(status, 2);
    assert.equal(stdout, '');
    assert.match(stderr, /no such suite: ad; there are rebuild, add, /);
  });

  it('refuses options that it does not know, and runs of other sizes', () => {
    assert.equal(bench('--fast').status, 2);
    assert.equal(bench('--run', file).status, 2);
    const run = JSON.parse(readFileSync(file, 'utf8')) as Run;
    writeFileSync(join(folder, 'full.json'), JSON.stringify({ ...run, size: 'full' }));
    const { status, stderr } = bench('--compare', join(folder, 'full.json'), '--run', file);
    assert.equal(status, 2);
    assert.match(stderr, /a run of size full says nothing about small/);
    assert.equal(bench('--compare', join(folder, 'missing.json'), '--run', file).status, 1);
  });
});
