import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { KeepThread } from '../../src/rescue/keep-thread.ts';
import { temporaryFolder } from '../harness/folder.ts';

describe('a thread that keeps files', () => {
  const place = temporaryFolder('keep-thread');
  const state = { id: '0', path: '/state' };
  const at = { place, folder: '0123456789abcdef', name: 'Film.mkv' };

  it('ends when it has nothing to do, and starts again', async () => {
    let ends = 0;
    const ended: (() => void)[] = [];
    const thread = new KeepThread(() => {
      ends++;
      ended.shift()?.();
    }, 10);
    for (const expected of [1, 2]) {
      const end = new Promise<void>((resolve) => ended.push(resolve));
      assert.deepEqual(await thread.ask({ kind: 'clean', place, state }), { files: [], moved: 0 });
      // An idle thread keeps no process alive: something else has to.
      const alive = setInterval(() => {}, 1000);
      await end;
      clearInterval(alive);
      assert.equal(ends, expected);
    }
  });

  it('says what failed, and goes on', async () => {
    const thread = new KeepThread();
    try {
      await assert.rejects(thread.ask({ kind: 'sync', at, state }), /ENOENT/);
      await assert.rejects(thread.ask({ kind: 'drop', at: { ...at, place: join(place, '\0') }, state }));
      assert.equal(await thread.ask({ kind: 'drop', at, state }), undefined);
    } finally {
      await thread.close();
    }
  });

  it('answers what it is asked by an error when it is ended', async () => {
    const thread = new KeepThread();
    const asked = thread.ask({ kind: 'clean', place, state });
    await Promise.all([assert.rejects(asked, /was ended/), thread.close()]);
  });
});
