import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { LevelCollection } from '../../../src/collection/level/collection.ts';
import { AnswerTooLarge, openIndex } from '../../../src/collection/level/open-index.ts';
import { hashText } from '../../../src/collection/names.ts';
import { describeCollection } from '../contract.ts';
import { TempIndex } from './temp-index.ts';

describeCollection('LevelDB in this process', async () => {
  const temp = new TempIndex();
  await temp.db.open();
  return { collection: new LevelCollection(temp.db), remove: () => temp.remove() };
});

describe('the open index', () => {
  let index: TempIndex;
  beforeEach(() => {
    index = new TempIndex();
  });
  afterEach(() => index.remove());

  it('believes no hash', async () => {
    // Two names with one 32-bit hash, found by the birthday: the index must tell them apart.
    const seen = new Map<number, string>();
    let pair: [string, string] | undefined;
    for (let i = 0; pair === undefined; i++) {
      const name = `n${i.toString(36)}`;
      const other = seen.get(hashText(name));
      if (other !== undefined) pair = [other, name];
      seen.set(hashText(name), name);
    }
    const [a, b] = pair;
    index.put({ [a]: 1, [`${a}x/z`]: 2, [`folder/${a}/z`]: 3 });
    await index.rebuild();
    const open = await openIndex(index.db);
    const found = await open.byNameAndSize([a, b].map((name) => ({ name, size: 1 })));
    assert.deepEqual(
      found.map((files) => files.length),
      [1, 0],
    );
    const folders = await open.folders([Buffer.from(a), Buffer.from(b)]);
    assert.deepEqual(
      folders.map((refs) => refs.length),
      [1, 0],
    );
  });

  it('refuses an answer that memory should not hold', async () => {
    index.put(Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`d${i}/name`, 5])));
    await index.rebuild();
    const open = await openIndex(index.db, 50);
    const tooLarge = { name: 'AnswerTooLarge', code: 'INDEX' };
    await assert.rejects(open.byName([{ name: 'name', min: 0, max: 9 }]), tooLarge);
    await assert.rejects(open.bySize([{ min: 0, max: 9, near: 5, limit: 60 }]), AnswerTooLarge);
    await assert.rejects(open.trees([0]), AnswerTooLarge);
    const [some] = await open.bySize([{ min: 0, max: 9, near: 5, limit: 40 }]);
    assert.equal(some?.length, 40);
  });
});
