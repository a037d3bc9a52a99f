import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openIndex } from '../../../src/collection/level/open-index.ts';
import { TempIndex } from './temp-index.ts';

describe('a rebuild that is killed', () => {
  let index: TempIndex;
  beforeEach(() => {
    index = new TempIndex();
  });
  afterEach(() => index.remove());

  const answers = async (): Promise<unknown> => {
    const open = await openIndex(index.db);
    const [files = []] = await open.bySize([{ min: 0, max: 1e9, near: 500, limit: 1e6 }]);
    const [tree] = await open.trees([0]);
    return [
      open.info().files,
      files.map((file) => index.below(file)).toSorted(),
      tree?.files.map(({ file }) => index.below(file)).toSorted(),
    ];
  };

  it('leaves an index that answers as before, and the next one cleans up', async () => {
    index.put(Object.fromEntries(Array.from({ length: 600 }, (_, i) => [`d${i % 40}/s${i % 7}/file ${i}`, i])));
    await index.rebuild({ full: true });
    const before = await answers();
    const child = fileURLToPath(new URL('./rebuild-child.js', import.meta.url));
    for (let round = 0; round < 8; round++) {
      await index.db.close();
      const running = spawn(process.execPath, [child, index.db.location, index.disk], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      try {
        await once(running.stdout, 'data');
        await sleep(20 + round * 17);
      } finally {
        running.kill('SIGKILL');
        await once(running, 'close');
      }
      await index.db.open();
      assert.deepEqual(await answers(), before);
    }
    await index.rebuild({ full: true });
    assert.deepEqual(await answers(), before);
    const keys = await index.db.keys<Uint8Array>({ keyEncoding: 'view' }).all();
    const generations = new Set(keys.slice(1).map((key) => Buffer.from(key).readUInt32BE(1)));
    assert.equal(generations.size, 1);
  });
});
