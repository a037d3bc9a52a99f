import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { CollectionFile } from '../../src/collection/index.ts';
import { normaliseName } from '../../src/collection/names.ts';
import { mergeQuestions } from '../../src/match/merged-questions.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { writeFiles } from './fixtures.ts';
import { NaiveIndex } from './naive-index.ts';

describe('questions of several torrents', () => {
  const disk = temporaryFolder('merged');
  writeFiles(disk, { 'a/one.bin': Buffer.alloc(10), 'b/two.bin': Buffer.alloc(20), 'b/one.bin': Buffer.alloc(10) });

  it('go in one batch, the same one once, and each gets its own answers in its order', async () => {
    const batches: number[] = [];
    class Noting extends NaiveIndex {
      override async byNameAndSize(questions: readonly { name: string; size: number }[]): Promise<CollectionFile[][]> {
        batches.push(questions.length);
        return await super.byNameAndSize(questions);
      }
    }
    const index = new Noting(disk);
    const merged = mergeQuestions(index);
    const one = { name: normaliseName('one.bin'), size: 10 };
    const two = { name: normaliseName('two.bin'), size: 20 };
    const none = { name: normaliseName('one.bin'), size: 20 };
    const [first, second, third] = await Promise.all([
      merged.byNameAndSize([one, two]),
      merged.byNameAndSize([none, two, one]),
      merged.byNameAndSize([]),
    ]);
    assert.deepEqual(batches, [3]);
    assert.deepEqual(
      first.map((found) => found.length),
      [2, 1],
    );
    assert.deepEqual(
      second.map((found) => found.length),
      [0, 1, 2],
    );
    assert.deepEqual(third, []);
    const [folder] = (await merged.folders([Buffer.from('b')]))[0] ?? [];
    const [tree] = await merged.trees([folder?.id ?? -1]);
    assert.equal(tree?.files.length, 2);
  });

  it('fail together', async () => {
    const index = new NaiveIndex(disk);
    index.releases = async () => await Promise.reject(new Error('broken'));
    const merged = mergeQuestions(index);
    const ended = await Promise.allSettled([merged.releases(['a']), merged.releases(['b'])]);
    assert.deepEqual(
      ended.map(({ status }) => status),
      ['rejected', 'rejected'],
    );
  });
});
