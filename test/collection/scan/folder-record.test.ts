import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeFolder, FolderRecord } from '../../../src/collection/scan/folder-record.ts';

const INODES = [3_873_769_401_814_451_679n, 2n ** 64n - 1n, 5n];
const CONTENT = {
  dev: 1,
  ino: 2,
  mtime: 3,
  ctime: 4,
  fileDev: 1,
  name: 'folder',
  fileNames: ['a', 'b', 'c'],
  sizes: [1, 2, 3],
  inodes: INODES,
  ignored: [false, false, true],
  subfolders: ['sub'],
  members: [],
  leftOut: [
    { name: 'a link', why: 'link' },
    { name: 'b\xff', why: 'unreadable' },
  ],
  marked: true,
} as const;

describe('the record of a folder', () => {
  it('has inode numbers of 64 bits as they are, and their doubles', () => {
    const record = new FolderRecord(encodeFolder(CONTENT)).withSubfolders(['other']);
    for (const [i, ino] of INODES.entries()) {
      assert.ok(record.hasInode(i, ino));
      assert.ok(!record.hasInode(i, ino - 1n));
      assert.equal(record.inodes[i], Number(ino));
    }
    assert.equal(record.marked, true);
  });

  it('of an older version has them as doubles', () => {
    const buffer = encodeFolder(CONTENT);
    const flags = new Uint32Array(buffer, 52, 1);
    flags[0] = (flags[0] ?? 0) & 1;
    new Float64Array(buffer, 64 + 24, 3).set(INODES.map(Number));
    const record = new FolderRecord(buffer);
    assert.equal(record.marked, true);
    for (const [i, ino] of INODES.entries()) {
      assert.ok(record.hasInode(i, ino) && record.hasInode(i, BigInt(Number(ino))));
      assert.ok(!record.hasInode(i, 6n));
    }
    const copy = record.withSubfolders([]);
    assert.ok(copy.hasInode(2, 5n) && copy.hasInode(0, BigInt(Number(INODES[0]))));
  });
});
