import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { volumesAfter } from '../../src/container/archive-files.ts';
import { isFirstVolume, nextVolumeNames } from '../../src/container/volume-names.ts';

describe('names of volumes', () => {
  it('tell where an archive may begin', () => {
    for (const name of [
      'x.rar',
      'X.RAR',
      'x.part1.rar',
      'x.part01.rar',
      'x.part0001.RAR',
      'x.zip',
      'x.party.rar',
      '.rar',
    ]) {
      assert.equal(isFirstVolume(name), true, name);
    }
    for (const name of ['x.part2.rar', 'x.part10.rar', 'x.part00.rar', 'x.r00', 'x.z01', 'x.rar.txt', 'rar', 'x.001']) {
      assert.equal(isFirstVolume(name), false, name);
    }
  });

  it('follow one another', () => {
    for (const [name, next] of [
      ['x.rar', ['x.r00', 'x.R00']],
      ['X.RAR', ['X.R00', 'X.r00']],
      ['x.r00', ['x.r01']],
      ['x.r99', ['x.s00']],
      ['x.S99', ['x.T00']],
      ['x.z99', []],
      ['x.part1.rar', ['x.part2.rar']],
      ['x.part9.rar', ['x.part10.rar']],
      ['x.part09.RAR', ['x.part10.RAR']],
      ['x.part099.rar', ['x.part100.rar']],
      ['x.zip', []],
    ] as const) {
      assert.deepEqual(nextVolumeNames(name), next, name);
    }
  });

  it('end at the first hole', () => {
    const there = new Set(['x.rar', 'x.r00', 'x.r01', 'x.r03']);
    assert.deepEqual(
      volumesAfter('x.rar', (name) => there.has(name)),
      ['x.r00', 'x.r01'],
    );
    assert.equal(volumesAfter('x.part1.rar', () => true).length, 9999);
    assert.equal(volumesAfter('x.rar', () => true).length, 900);
  });
});
