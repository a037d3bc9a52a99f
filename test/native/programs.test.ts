import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { findProgram } from '../../src/native/programs.ts';
import { temporaryFolder } from '../harness/folder.ts';

describe('a program of a user', () => {
  const uid = process.geteuid?.() ?? 0;
  const gid = process.getegid?.() ?? 0;
  const undo: (() => Promise<unknown>)[] = [];

  const start = async (command: string, args: readonly string[]): Promise<void> => {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    undo.push(async () => {
      const ended = once(child, 'exit');
      child.kill();
      await ended;
    });
    child.stdin.write('up\n');
    await once(child.stdout, 'data');
  };

  before(async () => {
    const folder = temporaryFolder('programs');
    // Longer than the kernel keeps.
    copyFileSync('/bin/cat', join(folder, 'an-example-with-a-long-name'));
    await start(join(folder, 'an-example-with-a-long-name'), []);
    const script = join(folder, 'example-daemon');
    writeFileSync(script, 'import sys\nprint(sys.stdin.readline(), flush=True)\nsys.stdin.read()\n');
    await start('python3', ['-I', script, 'an-argument']);
  });
  after(async () => {
    for (const step of undo) await step();
  });

  it('is found by its name, as far as the kernel keeps it', () => {
    assert.deepEqual(findProgram(uid, ['something-else', 'an-example-with-a-long-name']), { gid });
  });

  it('is found by the name of its script', () => {
    assert.deepEqual(findProgram(uid, ['example-daemon']), { gid });
  });

  it('is not found for another user, or by another name or argument', () => {
    assert.equal(findProgram(54_399, ['an-example-with-a-long-name']), undefined);
    for (const name of ['an-example', 'example', '-I', 'an-argument'])
      assert.equal(findProgram(uid, [name]), undefined, name);
  });
});
