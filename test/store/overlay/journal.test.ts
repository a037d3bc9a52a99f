import assert from 'node:assert/strict';
import fs from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { Journal, type JournalRecord } from '../../../src/store/overlay/journal.ts';
import { temporaryFolder } from '../../harness/folder.ts';

const BOOT = Buffer.alloc(16, 1);
const time = { seconds: 1_600_000_000, nanoseconds: 123_456_789 };
const write = (ino: number, offset: number, end: number): JournalRecord => ({ kind: 'write', ino, time, offset, end });
const truncate = (ino: number, size: number): JournalRecord => ({ kind: 'truncate', ino, time, size });

describe('the journal', () => {
  let folder: string;
  beforeEach(async () => {
    folder = temporaryFolder('overlay');
  });

  const open = (bootId = BOOT) => {
    const { journal, left } = Journal.open(folder, bootId);
    return { journal, left: [...left] };
  };
  const names = (): string[] => fs.readdirSync(folder).toSorted();
  const only = (): string => join(folder, names()[0] ?? '');

  it('gives what was appended, in its order, to the next server of this boot', () => {
    const records = [
      write(2, 0, 4096),
      truncate(2, 2 ** 46),
      write(2 ** 40, 2 ** 45, 2 ** 46 + 1),
      { ...truncate(7, 0), time: { seconds: -1.5e9, nanoseconds: 0 } },
    ];
    const { journal, left } = open();
    assert.deepEqual(left, []);
    for (const record of records) journal.append(record);
    journal.close();
    assert.deepEqual(open().left, records);
  });

  it('makes no file while there is nothing to be noted', () => {
    open().journal.close();
    assert.deepEqual(names(), []);
  });

  it('goes on from several files in the order in which they were written, beyond nine', () => {
    const all: JournalRecord[] = [];
    const { journal } = open();
    for (let i = 0; i < 12; i++) {
      journal.append(write(i, 0, i + 1));
      all.push(write(i, 0, i + 1));
      // The state after a failed checkpoint.
      journal.rotate().keep();
    }
    journal.close();
    const next = open();
    assert.deepEqual(next.left, all);
    // A server that is killed before its first checkpoint leaves the earlier journals, too.
    next.journal.append(truncate(99, 0));
    next.journal.close();
    assert.deepEqual(open().left, [...all, truncate(99, 0)]);
  });

  it('forgets what is recorded elsewhere, and nothing that came since', () => {
    const { journal } = open();
    journal.append(write(1, 0, 1));
    const before = journal.rotate();
    journal.append(write(2, 0, 2));
    before.forget();
    journal.close();
    assert.deepEqual(open().left, [write(2, 0, 2)]);
    const { journal: next } = open();
    next.rotate().forget();
    assert.deepEqual(names(), []);
  });

  it('believes nothing of another boot, and deletes it', () => {
    const { journal } = open();
    journal.append(write(1, 0, 1));
    journal.close();
    assert.deepEqual(open(Buffer.alloc(16, 2)).left, []);
    assert.deepEqual(names(), []);
  });

  it('takes each whole record of a torn file, wherever it was cut', () => {
    const { journal } = open();
    for (let i = 0; i < 3; i++) journal.append(write(i + 1, 0, 10));
    journal.close();
    const whole = fs.readFileSync(only());
    for (let length = whole.length; length >= 0; length--) {
      fs.writeFileSync(join(folder, 'journal-1'), whole.subarray(0, length));
      const expected = [1, 2, 3].slice(0, Math.max(0, Math.floor((length - 32) / 36))).map((ino) => write(ino, 0, 10));
      assert.deepEqual(open().left, expected, `${length} bytes`);
    }
  });

  it('stops at a record that is damaged', () => {
    const { journal } = open();
    for (let i = 0; i < 3; i++) journal.append(write(i + 1, 0, 10));
    journal.close();
    const bytes = fs.readFileSync(only());
    for (let at = 32 + 36; at < 32 + 72; at++) {
      const damaged = Buffer.from(bytes);
      damaged[at]! ^= 0x20;
      fs.writeFileSync(only(), damaged);
      assert.deepEqual(open().left, [write(1, 0, 10)], `byte ${at}`);
    }
  });

  it('writes over a record that a full disk has cut short', (t) => {
    const { journal } = open();
    journal.append(write(1, 0, 1));
    const real = fs.writeSync;
    const full = t.mock.method(fs, 'writeSync', (fd: number, bytes: Buffer, from: number, _n: number, at: number) =>
      real(fd, bytes, from, 20, at),
    );
    assert.throws(() => journal.append(write(2, 0, 2)), { code: 'ENOSPC' });
    full.mock.restore();
    journal.append(write(3, 0, 3));
    journal.close();
    assert.deepEqual(open().left, [write(1, 0, 1), write(3, 0, 3)]);
  });

  it('begins anew where the disk was too full for its beginning', (t) => {
    for (const written of [0, 7]) {
      const { journal } = open();
      const real = fs.writeSync;
      const full = t.mock.method(fs, 'writeSync', (fd: number, bytes: Buffer, from: number, _n: number, at: number) => {
        if (written > 0) return real(fd, bytes, from, written, at);
        throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
      });
      assert.throws(() => journal.append(write(1, 0, 1)), { code: 'ENOSPC' });
      full.mock.restore();
      journal.append(write(2, 0, 2));
      journal.close();
      const next = open();
      assert.deepEqual(next.left, [write(2, 0, 2)]);
      next.journal.rotate().forget();
      assert.deepEqual(names(), []);
    }
  });

  it('is full after 200,000 records, and empty after the next file has begun', () => {
    const { journal } = open();
    for (let i = 0; i < 199_999; i++) journal.append(write(i + 1, i, i + 1));
    assert.equal(journal.isFull, false);
    journal.append(truncate(1, 1));
    assert.equal(journal.isFull, true);
    const before = journal.rotate();
    assert.equal(journal.isFull, false);
    assert.equal(open().left.length, 200_000);
    before.forget();
  });
});
