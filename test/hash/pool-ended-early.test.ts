/** A pool that is closed while its threads load their code does not take the process with it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { it } from 'node:test';

const POOL = resolve('dist/src/hash/piscina-pool.js');
/** Without the option of the pool's threads, one in some twenty of these closings aborted Node 20. */
const PROGRAM = `
  const { createHashPool } = await import(process.argv[1]);
  for (let i = 0; i < 80; i++) {
    const pool = createHashPool({ sources: { disks: [] }, ready: true });
    await new Promise((done) => setTimeout(done, 20 + ((i * 7) % 130)));
    await pool.close();
  }
  console.log('ended');
`;

it('a pool can be closed while its threads start', async () => {
  const stdout = await new Promise<string>((done, fail) => {
    execFile(process.execPath, ['--input-type=module', '-e', PROGRAM, POOL], (error, out) => {
      if (error === null) done(out);
      else fail(error);
    });
  });
  assert.equal(stdout, 'ended\n');
});
