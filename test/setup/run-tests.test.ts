/** `scripts/run-tests.ts` over test files of its own: its counts, its order, its end. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { temporaryFolder } from '../harness/folder.ts';

const SCRIPT = resolve('dist/scripts/run-tests.js');

let folder: string;
beforeEach(() => {
  folder = temporaryFolder('run-tests');
});

/** A test file with a body of its own, which writes down when it begins and ends. */
async function file(name: string, body: string): Promise<void> {
  const path = join(folder, 'dist/test', `${name}.test.js`);
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(
    path,
    `const { it } = require('node:test');
     const tell = (what) => require('node:fs').appendFileSync('log', what + ' ${name}\\n');
     const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
     tell('begin'); process.on('exit', () => tell('end'));
     ${body}`,
  );
}

function runTests(jobs: number, ...names: string[]): { status: number | null; out: string } {
  // It would take itself for a test file.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const { status, stdout } = spawnSync(process.execPath, [SCRIPT, ...names], {
    cwd: folder,
    env: { ...env, AUTOTORRENT_TEST_JOBS: `${jobs}` },
    encoding: 'utf8',
    timeout: 60_000,
  });
  return { status, out: stdout };
}

const log = async (): Promise<string[]> => (await readFile(join(folder, 'log'), 'utf8')).trim().split('\n');
const closing = (tests: number, pass: number, fail: number, skipped = 0): RegExp =>
  new RegExp(
    `ℹ tests ${tests}\nℹ suites 0\nℹ pass ${pass}\nℹ fail ${fail}\nℹ cancelled 0\nℹ skipped ${skipped}\nℹ todo 0\nℹ duration_ms [\\d.]+\n`,
  );

describe('scripts/run-tests.ts', () => {
  it('adds the counts of all files up, once', async () => {
    await file('a', `it('one', () => {}); it('two', () => {});`);
    await file('folder/b', `it('three', () => {}); it.skip('four', () => {});`);
    const { status, out } = runTests(2);
    assert.equal(status, 0, out);
    assert.match(out, closing(4, 3, 0, 1));
    assert.equal(out.match(/ℹ tests /g)?.length, 1);
  });

  it('fails where a test fails, and says how', async () => {
    await file('a', `it('one', () => {});`);
    await file('b', `it('two', () => { throw new Error('the reason'); });`);
    const { status, out } = runTests(2);
    assert.equal(status, 1);
    assert.match(out, closing(2, 1, 1));
    assert.match(out, /failing tests:[^]*the reason/);
  });

  it('counts a file that cannot be loaded, or is killed, as a test that fails', async () => {
    await file('a', `throw new Error('at the start');`);
    await file('b', `it('one', () => process.kill(process.pid, 'SIGKILL'));`);
    await file('c', `it('two', () => {});`);
    const { status, out } = runTests(3);
    assert.equal(status, 1);
    assert.match(out, /ℹ pass 1\nℹ fail 2\n/);
  });

  it('runs files side by side, and those that need the machine for themselves after all others', async () => {
    const until = (line: string): string =>
      `it('waits', { timeout: 30_000 }, async () => {
        while (!require('node:fs').readFileSync('log', 'utf8').includes('${line}')) await sleep(20);
      });`;
    await file('stress/a', until('end c'));
    await file('b', until('begin c'));
    await file('c', until('begin b'));
    const { status, out } = runTests(2);
    assert.equal(status, 0, out);
    const lines = await log();
    assert.deepEqual(new Set(lines.slice(0, 2)), new Set(['begin b', 'begin c']));
    assert.deepEqual(new Set(lines.slice(2, 4)), new Set(['end b', 'end c']));
    assert.deepEqual(lines.slice(4), ['begin stress/a', 'end stress/a']);
  });

  it('begins with what takes longest', async () => {
    for (const name of ['a', 'e2e/absence', 'e2e/z']) await file(name, `it('one', () => {});`);
    assert.equal(runTests(1).status, 0);
    const begun = (await log()).filter((line) => line.startsWith('begin'));
    assert.deepEqual(begun, ['begin e2e/absence', 'begin e2e/z', 'begin a']);
  });

  it('lists the ten slowest of many files before the counts', async () => {
    for (let i = 0; i < 12; i++) await file(`f${i}`, `it('one', () => ${i === 7 ? 'sleep(700)' : '{}'});`);
    const { out } = runTests(2);
    const [, slowest = ''] = /ℹ the slowest files:\n([^]*?)ℹ tests 12\n/.exec(out) ?? [];
    assert.equal(slowest.trim().split('\n').length, 10);
    assert.match(slowest, /^ℹ +[\d.]+ s {2}f\d/);
  });

  it('runs those that are named, and fails where there are none', async () => {
    await file('a/b', `it('one', () => {});`);
    await file('c', `it('two', () => {});`);
    assert.match(runTests(1, 'a/').out, closing(1, 1, 0));
    assert.equal(runTests(1, 'nothing').status, 1);
  });
});
