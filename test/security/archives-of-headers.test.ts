/**
 * Archives that list very much: each folder was bounded, the disk was not, and each archive was read to its end. What is over a
 * bound is left out and said once; the rebuild goes on.
 */
import assert from 'node:assert/strict';
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { openIndex } from '../../src/collection/level/open-index.ts';
import { MEMBER_LIMITS, OVER_REBUILD } from '../../src/collection/scan/member-budget.ts';
import { crc32 } from '../../src/container/crc32.ts';
import { TempIndex } from '../collection/level/temp-index.ts';
import { writeRar4 } from '../container/rar-writer.ts';

const OVER_FOLDER = 'more than 100000 files in the archives of a folder';

/** A ZIP of a directory alone: no member's bytes are there. */
function zipOf(members: number, size: number, name: (index: number) => string): Buffer {
  const entries = Array.from({ length: members }, (_, i) => {
    const text = Buffer.from(name(i));
    const entry = Buffer.alloc(46 + text.length);
    entry.writeUInt32LE(0x02014b50, 0);
    entry.writeUInt32LE(size, 20);
    entry.writeUInt32LE(size, 24);
    entry.writeUInt16LE(text.length, 28);
    text.copy(entry, 46);
    return entry;
  });
  const directory = Buffer.concat(entries);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(members, 8);
  end.writeUInt16LE(members, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(4, 16);
  return Buffer.concat([Buffer.from('PK\x03\x04'), directory, end]);
}

/** Writes a RAR whose headers lie `hole` bytes apart, in a sparse file. */
function writeDistantRar(path: string, headers: number, hole: number, name: (index: number) => string): void {
  const fd = openSync(path, 'w');
  let at = 0;
  const put = (bytes: Buffer): void => {
    writeSync(fd, bytes, 0, bytes.length, at);
    at += bytes.length;
  };
  const [ordinary] = writeRar4([{ name: 'x', data: Buffer.from('x') }]);
  assert.ok(ordinary);
  // The signature and the main block: what comes before the file's block, which is 32 bytes and its name.
  put(ordinary.subarray(0, 20));
  for (let i = 0; i < headers; i++) {
    const text = Buffer.from(name(i));
    const header = Buffer.alloc(32 + text.length);
    header[2] = 0x74;
    header.writeUInt16LE(0x8000, 3);
    header.writeUInt16LE(header.length, 5);
    header.writeUInt32LE(hole, 7);
    header.writeUInt32LE(hole, 11);
    header[15] = 3;
    header[24] = 20;
    header[25] = 0x30;
    header.writeUInt16LE(text.length, 26);
    text.copy(header, 32);
    header.writeUInt16LE(crc32(header.subarray(2)) & 0xffff, 0);
    put(header);
    at += hole;
  }
  writeSync(fd, Buffer.alloc(1), 0, 1, at);
  closeSync(fd);
}

describe('archives of very many headers', () => {
  let index: TempIndex;
  beforeEach(() => {
    index = new TempIndex();
  });
  afterEach(() => index.remove());

  const put = (path: string, bytes: Buffer): void => {
    mkdirSync(join(index.disk, path, '..'), { recursive: true });
    writeFileSync(join(index.disk, path), bytes);
  };
  const listed = async (size: number): Promise<number> => {
    const [found = []] = await (await openIndex(index.db)).archived([{ size, limit: 1_000_000 }]);
    return found.length;
  };
  const counts = (skipped: ReadonlyMap<string, { readonly count: number }>): Record<string, number> =>
    Object.fromEntries([...skipped].map(([reason, { count }]) => [reason, count]));

  it('in many folders fill the index to a bound, and no further at the next rebuild', async () => {
    for (let i = 0; i < 6; i++)
      put(
        `${i}/some.zip`,
        zipOf(1000, 77, (n) => `${n}`),
      );
    index.put({ 'other/file.bin': 5 });
    const limits = { ...MEMBER_LIMITS, members: 2500 };
    const first = await index.rebuild({ memberLimits: limits });
    assert.deepEqual([first.files, counts(first.skipped)], [7, { [OVER_REBUILD]: 4 }]);
    assert.equal(await listed(77), 2000);
    for (let i = 6; i < 8; i++)
      put(
        `${i}/some.zip`,
        zipOf(1000, 77, (n) => `${n}`),
      );
    const next = await index.rebuild({ memberLimits: limits });
    assert.equal(next.files, 9);
    assert.equal(await listed(77), 2000);
  });

  it('of long names fill the index to a bound', async () => {
    for (let i = 0; i < 4; i++)
      put(
        `${i}/some.zip`,
        zipOf(100, 77, (n) => `${n}${'x'.repeat(2000)}`),
      );
    const { skipped } = await index.rebuild({ memberLimits: { ...MEMBER_LIMITS, namesKiB: 500 } });
    assert.deepEqual(counts(skipped), { [OVER_REBUILD]: 2 });
    assert.equal(await listed(77), 200);
  });

  it('in one folder are cut at its bound, which is said', async () => {
    for (let i = 0; i < 3; i++)
      put(
        `one/${i}.zip`,
        zipOf(45_000, 77, (n) => `${n}`),
      );
    const { skipped } = await index.rebuild();
    assert.deepEqual(counts(skipped), { [OVER_FOLDER]: 1 });
    assert.equal(await listed(77), 100_000);
  });

  it('far apart are read up to a bound in all', async () => {
    for (let i = 0; i < 5; i++) {
      mkdirSync(join(index.disk, `${i}`));
      writeDistantRar(join(index.disk, `${i}`, 'far.rar'), 2000, 100_000, (n) => `${n}`);
    }
    const { files, skipped } = await index.rebuild({ threads: 1, memberLimits: { ...MEMBER_LIMITS, reads: 3000 } });
    assert.deepEqual([files, counts(skipped)], [5, { [OVER_REBUILD]: 3 }]);
    assert.equal(await listed(100_000), 4000);
  });

  it('of more names than one archive may have are cut', async () => {
    writeDistantRar(join(index.disk, 'names.rar'), 6000, 10, (n) => `${n}${'x'.repeat(4000)}`);
    await index.rebuild();
    const count = await listed(10);
    assert.ok(count > 4000 && count < 4300, `${count}`);
  });
});
