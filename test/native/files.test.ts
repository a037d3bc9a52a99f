import assert from 'node:assert/strict';
import { closeSync, ftruncateSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { silentLogger } from '../../src/logger.ts';
import { openCLibrary } from '../../src/native/c-library.ts';
import { loadFileCalls } from '../../src/native/files.ts';
import { temporaryFolder } from '../harness/folder.ts';

describe('preadCached', () => {
  const { preadCached } = loadFileCalls(openCLibrary(silentLogger));
  let folder: string;
  let fd: number;
  before(() => {
    folder = temporaryFolder('libc');
    writeFileSync(join(folder, 'f'), 'abcdefghij');
    fd = openSync(join(folder, 'f'), 'r');
  });
  after(() => {
    closeSync(fd);
  });

  it('reads what is cached into the middle of a buffer, and nothing beside it', (t) => {
    if (preadCached === undefined) return t.skip('not on this kernel');
    const buffer = Buffer.alloc(8, '.');
    assert.equal(preadCached(fd, buffer.subarray(1), 1, 4, 3), 4);
    assert.equal(buffer.toString(), '..defg..');
    assert.equal(preadCached(fd, buffer, 0, 8, 8), 2);
    assert.equal(preadCached(fd, buffer, 0, 8, 10), 0);
  });

  it('tells failures apart from data', (t) => {
    if (preadCached === undefined) return t.skip('not on this kernel');
    assert.equal(preadCached(-1, Buffer.alloc(4), 0, 4, 0), -1);
  });

  it('never writes outside of the buffer', (t) => {
    if (preadCached === undefined) return t.skip('not on this kernel');
    for (const [offset, length] of [
      [0, 5],
      [4, 1],
      [-1, 2],
      [0, -1],
    ] as const) {
      assert.throws(() => preadCached(fd, Buffer.alloc(4), offset, length, 0), RangeError);
    }
  });
});

describe('seek', () => {
  const { seek } = loadFileCalls(openCLibrary(silentLogger));

  it('finds where a hole ends, that it never does, and that it cannot tell', (t) => {
    if (seek === undefined) return t.skip('not on this kernel');
    const folder = temporaryFolder('libc');
    const fd = openSync(join(folder, 'sparse'), 'w+');
    try {
      writeSync(fd, 'data', 1_048_576);
      ftruncateSync(fd, 4_194_304);
      assert.equal(seek(fd, 10, 'data'), 1_048_576);
      assert.equal(seek(fd, 1_048_578, 'data'), 1_048_578);
      assert.equal(seek(fd, 2_097_152, 'data'), Number.POSITIVE_INFINITY);
      assert.equal(seek(-1, 7, 'data'), 7);
      assert.equal(seek(fd, 10, 'hole'), 10);
      assert.equal(seek(fd, 1_048_578, 'hole'), 1_052_672);
      assert.equal(seek(fd, 4_194_304, 'hole'), Number.POSITIVE_INFINITY);
      assert.equal(seek(-1, 7, 'hole'), Number.POSITIVE_INFINITY);
    } finally {
      closeSync(fd);
    }
  });
});
