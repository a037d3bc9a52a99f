/** The benchmark of sources that change, on the smallest data: each row is measured, and nothing is left mounted. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { it } from 'node:test';
import type { Run } from '../../bench/lib/run-file.ts';
import { isAtOrBelow, readMountsSync } from '../../src/native/mountinfo.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { WHOLE } from './setting.ts';

const ROWS = [
  /^a renamed file is mapped at its new place, as root$/,
  /^first read of a suspect source/,
  /^second read of a suspect source/,
  /^folder of 50 files renamed/,
  /^random read of another file meanwhile/,
  /^random read with a look after each/,
  /^memory for 200 sources, as root$/,
  /^events survived, of 2/,
  /^wrong pieces served$/,
  /^random read beside 16 readers of a file system that answers after 5 s/,
];

it('npm run bench -- living measures each row, and leaves nothing', { skip: NEEDS_ROOT || !WHOLE }, () => {
  const folder = temporaryFolder('measured');
  const [tmp, file] = [join(folder, 't'), join(folder, 'run.json')];
  mkdirSync(tmp);
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [resolve('dist/bench/bench.js'), 'living', '--small', '--out', file],
    { encoding: 'utf8', env: { ...process.env, TMPDIR: tmp } },
  );
  assert.equal(status, 0, `${stdout}${stderr}`);
  const [suite] = (JSON.parse(readFileSync(file, 'utf8')) as Run).suites;
  const rows = suite?.rows ?? [];
  assert.equal(rows.length, ROWS.length);
  for (const [i, { name }] of rows.entries()) assert.match(name, ROWS[i]!);
  const exact = rows.filter((row) => row.exact === true).map(({ value }) => value);
  assert.deepEqual(exact, [2, 0], 'both events are survived, and no piece is wrong');
  assert.ok(!readMountsSync().some(({ path }) => isAtOrBelow(path, Buffer.from(tmp))));
  assert.deepEqual(readdirSync(tmp), []);
});
