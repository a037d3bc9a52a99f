import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { describe, it } from 'node:test';
import { silentLogger } from '../../src/logger.ts';
import { openCLibrary } from '../../src/native/c-library.ts';
import { loadWaitingCalls } from '../../src/native/waiting.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';

describe('waiting for descriptors', () => {
  const calls = loadWaitingCalls(openCLibrary(silentLogger));
  assert.ok(calls !== undefined);

  it('ends when an alarm is given', () => {
    const alarm = calls.alarm();
    try {
      assert.deepEqual(calls.wait({ readable: [alarm] }, 0), []);
      const one = Buffer.alloc(8);
      one.writeBigUInt64LE(1n);
      writeSync(alarm, one);
      assert.deepEqual(calls.wait({ readable: [alarm] }, 5000), [alarm]);
    } finally {
      closeSync(alarm);
    }
  });

  it('waits for a mount table that can be read, until it has changed, once a change', { skip: NEEDS_ROOT }, () => {
    const folder = temporaryFolder('waiting');
    const table = openSync('/proc/self/mountinfo', 'r');
    // Other programs mount, too.
    const quiet = (): boolean => calls.wait({ urgent: [table] }, 0).length === 0;
    const becomesQuiet = (): boolean => Array.from({ length: 20 }, quiet).includes(true);
    try {
      assert.ok(becomesQuiet());
      execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', folder]);
      try {
        assert.deepEqual(calls.wait({ urgent: [table] }, 5000), [table]);
        assert.ok(becomesQuiet());
      } finally {
        execFileSync('umount', [folder]);
      }
      assert.deepEqual(calls.wait({ urgent: [table] }, 5000), [table]);
    } finally {
      closeSync(table);
    }
  });
});
