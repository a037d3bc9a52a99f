/** SEEK_DATA and SEEK_HOLE: what is data, what is a hole, and where a file ends. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import * as fc from 'fast-check';
import { GAP, OVERLAY, ZEROS } from '../../src/extent/extent.ts';
import { ExtentMap } from '../../src/extent/extent-map.ts';
import { seekMapped, seekPlain } from '../../src/vfs/seeking.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { Volume } from './volume.ts';

const ENXIO = { code: 'ENXIO' };

describe('seek', () => {
  let volume: Volume;
  beforeEach(async () => {
    volume = await Volume.open(temporaryFolder('seeking'));
  });
  afterEach(async () => {
    await volume.close();
  });

  /** The ranges of data of a file, as `cp --sparse` finds them. */
  async function dataOf(path: string): Promise<[number, number][]> {
    const handle = await volume.open(path);
    const { size } = volume.files.getattr(volume.ino(path));
    const ranges: [number, number][] = [];
    try {
      for (let at = 0; at < size; ) {
        const from = volume.files.seek(handle, at, 'data');
        at = volume.files.seek(handle, from, 'hole');
        ranges.push([from, at]);
      }
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'ENXIO');
    } finally {
      await volume.files.release(handle);
    }
    return ranges;
  }

  it('takes gaps and zeros of a mapped file for holes', async () => {
    assert.deepEqual(await dataOf('T/whole'), [[0, 40_000]]);
    assert.deepEqual(await dataOf('T/gap'), []);
    assert.deepEqual(await dataOf('T/mixed'), [
      [0, 6000],
      [17_000, 20_000],
    ]);
  });

  it('takes what was written over it for data, and what a truncate cut off and left for a hole', async () => {
    await volume.write('T/gap', 'written', 9000);
    assert.deepEqual(await dataOf('T/gap'), [[8192, 12_288]]);
    await volume.truncate('T/whole', 10_000);
    await volume.truncate('T/whole', 30_000);
    assert.deepEqual(await dataOf('T/whole'), [[0, 10_000]]);
    await volume.restart();
    assert.deepEqual(await dataOf('T/whole'), [[0, 10_000]]);
  });

  it('finds the holes of a plain file', async () => {
    await volume.create('T/plain');
    await volume.write('T/plain', 'far', 5 * 2 ** 20);
    await volume.truncate('T/plain', 9 * 2 ** 20);
    const ranges = await dataOf('T/plain');
    // A file system without holes tells that all is data.
    const all: typeof ranges = [[0, 9 * 2 ** 20]];
    const hole: typeof ranges = [[5 * 2 ** 20, 5 * 2 ** 20 + 4096]];
    assert.deepEqual(ranges, volume.stored(volume.ino('T/plain')) > 2 ** 20 ? all : hole);
  });

  it('refuses positions outside of the file, and handles of nothing', async () => {
    for (const path of ['T/whole', 'T/empty']) {
      const handle = await volume.open(path);
      const { size } = volume.files.getattr(volume.ino(path));
      for (const [offset, to] of [
        [-1, 'data'],
        [size, 'data'],
        [size, 'hole'],
        [2 ** 60, 'hole'],
      ] as const) {
        assert.throws(() => volume.files.seek(handle, offset, to), ENXIO);
      }
      await volume.files.release(handle);
      assert.throws(() => volume.files.seek(handle, 0, 'data'), { code: 'EBADF' });
    }
  });

  it('agrees with a table of all bytes, whatever the extents', () => {
    const extent = fc.record({
      length: fc.integer({ min: 1, max: 9 }),
      source: fc.constantFrom(GAP, ZEROS, 0, OVERLAY),
    });
    fc.assert(
      fc.property(fc.array(extent, { maxLength: 9 }), fc.integer({ min: 1, max: 100 }), (parts, scale) => {
        const unit = scale * 2 ** 20;
        const lengths = parts.map(({ length }) => length * unit);
        const size = lengths.reduce((sum, length) => sum + length, 0);
        const extents = parts.map(({ source }, i) => ({
          offset: lengths.slice(0, i).reduce((sum, length) => sum + length, 0),
          length: lengths[i] ?? 0,
          source,
          sourceOffset: 0,
        }));
        const slice = (from: number, length: number) =>
          extents
            .map((each) => {
              const offset = Math.max(each.offset, from);
              return { ...each, offset, length: Math.min(each.offset + each.length, from + length) - offset };
            })
            .filter((each) => each.length > 0);
        const isHole = parts.flatMap(({ source, length }) =>
          Array.from({ length }, () => source === GAP || source === ZEROS),
        );
        for (const to of ['data', 'hole'] as const) {
          for (const [at] of isHole.entries()) {
            const found = isHole.findIndex((hole, i) => i >= at && hole === (to === 'hole'));
            const expected = found >= 0 ? Math.max(found * unit, at * unit) : to === 'hole' ? size : undefined;
            const seek = () => seekMapped({ size, slice }, at * unit, to);
            if (expected === undefined) assert.throws(seek, ENXIO);
            else assert.equal(seek(), expected);
          }
        }
      }),
    );
  });

  it('finds the end of a file of 128 TiB that holds nothing', () => {
    const extents = ExtentMap.single(2 ** 47, GAP);
    const content = { size: 2 ** 47, slice: extents.slice.bind(extents) };
    assert.throws(() => seekMapped(content, 5, 'data'), ENXIO);
    assert.equal(seekMapped(content, 5, 'hole'), 5);
  });

  it('takes all of a plain file for data where the disk cannot tell', () => {
    const content = { overlay: { fd: -1 } } as unknown as Parameters<typeof seekPlain>[0];
    assert.equal(seekPlain(content, 10, 3, 'data', {}), 3);
    assert.equal(seekPlain(content, 10, 3, 'hole', {}), 10);
    assert.equal(seekPlain(content, 10, 3, 'hole', { seek: () => Number.POSITIVE_INFINITY }), 10);
    assert.throws(() => seekPlain(content, 10, 3, 'data', { seek: () => Number.POSITIVE_INFINITY }), ENXIO);
  });
});
