import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { millisecondsOf, nanosecondsOf } from '../../src/native/timestamp.ts';
import { differenceOf, type FileIdentity, type Recorded } from '../../src/source/identity.ts';

const FOUND: FileIdentity = {
  dev: 1,
  ino: 3_873_769_401_814_451_679n,
  size: 5,
  mtimeNs: 1_600_000_000_123_456_789n,
  ctimeNs: 1_700_000_000_123_456_789n,
};
const codeOf = (recorded: Recorded): string | undefined => differenceOf(recorded, FOUND)?.code;

describe('the difference of a file from its record', () => {
  it('is none where all that is recorded agrees, on whatever device', () => {
    assert.equal(codeOf({ ...FOUND, dev: 2 }), undefined);
    assert.equal(codeOf(FOUND), undefined);
    assert.equal(codeOf({}), undefined);
    assert.equal(codeOf({ size: 5 }), undefined);
  });

  it('is the size, then the mtime, then the ctime, each to the nanosecond', () => {
    const [mtimeNs, ctimeNs] = [FOUND.mtimeNs + 1n, 1n];
    assert.equal(codeOf({ ...FOUND, size: 6, mtimeNs, ctimeNs }), 'size');
    assert.equal(codeOf({ ...FOUND, mtimeNs, ctimeNs }), 'modified');
    assert.equal(codeOf({ ...FOUND, ctimeNs: FOUND.mtimeNs }), 'ctime');
    assert.equal(codeOf({ ...FOUND, ctimeNs: (FOUND.ctimeNs ?? 0n) + 1n }), 'ctime');
  });

  it('is judged by the doubles of an older version, and by the inode, where no ctime is known', () => {
    const older = {
      size: 5,
      ino: BigInt(Number(FOUND.ino)),
      mtimeNs: nanosecondsOf(millisecondsOf(FOUND.mtimeNs)),
      ctimeNs: undefined,
    };
    assert.notEqual(older.ino, FOUND.ino);
    assert.notEqual(older.mtimeNs, FOUND.mtimeNs);
    assert.equal(codeOf(older), undefined);
    assert.equal(codeOf({ ...older, mtimeNs: older.mtimeNs + 1000n }), 'modified');
    assert.equal(codeOf({ ...older, ino: older.ino + 4096n }), 'replaced');
  });
});
