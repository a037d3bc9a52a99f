import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { Alignment } from '../../src/match/align.ts';
import { Looker } from '../../src/match/look.ts';
import { LearnedShifts } from '../../src/match/shifts.ts';
import { anywhere } from '../harness/anywhere.ts';
import { temporaryFolder } from '../harness/folder.ts';

const PIECE = 16_384;

describe('an alignment', () => {
  let folder: string;
  before(() => {
    folder = temporaryFolder('align');
  });

  it('does not wait for a FIFO that took the place of its candidate', async () => {
    const path = join(folder, 'candidate');
    const length = 8 * PIECE;
    writeFileSync(path, Buffer.alloc(length + 1, 'candidate'));
    const looker = new Looker(anywhere());
    const source = looker.look({ path: Buffer.from(path), size: length + 1 });
    assert.ok(!('refused' in source));
    rmSync(path);
    execFileSync('mkfifo', [path]);
    const alignment = new Alignment({
      source,
      looker,
      length,
      pieces: Array.from({ length: 8 }, (_, i) => ({ offset: i * PIECE, length: PIECE })),
      ask: async (questions) => questions.map(() => ({ agrees: false, why: 'differs', changed: false })),
      budget: { left: 2 ** 30, reached: false },
      learned: new LearnedShifts(),
      hypotheses: [],
    });
    // An open that waits for a writer would hold this thread for ever: the test would never end.
    assert.deepEqual(await alignment.run('named'), { parts: [], proven: [] });
  });
});
