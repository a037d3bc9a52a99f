import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { FolderRecord } from '../../../src/collection/scan/folder-record.ts';
import { MEMBER_LIMITS, MemberBudget } from '../../../src/collection/scan/member-budget.ts';
import { type FolderReading, readFolder } from '../../../src/collection/scan/read-folder.ts';
import { anywhere } from '../../harness/anywhere.ts';
import { makeFileSystem } from '../../harness/file-systems.ts';
import { temporaryFolder } from '../../harness/folder.ts';

const record = (reading: FolderReading): FolderRecord => {
  assert.ok(reading instanceof ArrayBuffer);
  return new FolderRecord(reading);
};

describe('readFolder', () => {
  let top: string;
  let skipped: [string, string][];
  /** How often the walk is asked whether it has ended before it has. */
  let looksLeft: number;
  beforeEach(() => {
    top = temporaryFolder('folder');
    skipped = [];
    looksLeft = Number.POSITIVE_INFINITY;
    mkdirSync(join(top, 'mount'));
    mkdirSync(join(top, 'sub'));
    writeFileSync(join(top, 'file'), 'abc');
  });

  const read = (path: string, avoid: string[] = [], known: FolderRecord | null = null): FolderReading =>
    readFolder(
      { path, root: false, known: known?.packed ?? null },
      {
        ignore: undefined,
        avoid: new Set(avoid),
        racyMs: -10_000,
        growth: { settleMs: 0, youngMs: 0, againMs: 0, soonAfter: false },
        noteYoung: () => {},
        budget: new MemberBudget(MEMBER_LIMITS),
        realOf: (one) => one,
        access: anywhere(),
        isStopped: () => looksLeft-- <= 0,
        skip: (...what) => skipped.push(what),
      },
    );

  it('looks at nothing more once the walk has ended, and leaves no folder open', () => {
    const before = readdirSync('/proc/self/fd').length;
    for (looksLeft = 0; read(top) === 'skipped'; ) looksLeft = skipped.length;
    assert.equal(skipped.length, 4, 'it may end before the folder is opened, and before each of the three entries');
    assert.equal(readdirSync('/proc/self/fd').length, before);
  });

  it('leaves out what we keep ourselves, but for what was kept for a lost state', () => {
    const own = join(top, '.autotorrent');
    mkdirSync(join(own, 'kept-1', 'x'), { recursive: true });
    mkdirSync(join(own, 'found', 'x'), { recursive: true });
    writeFileSync(join(own, 'file'), 'abc');
    writeFileSync(join(own, 'found', 'x', 'film'), 'abc');
    const found = record(read(own));
    assert.deepEqual([found.files, found.subfolders, found.subfolderName(0)], [0, 1, 'found']);
    assert.equal(
      record(read(join(own, 'found', 'x')))
        .fileName(0)
        .toString(),
      'film',
    );
    assert.equal(read(join(own, 'kept-1')), 'skipped');
    assert.equal(read(join(own, 'kept-1', 'x')), 'skipped');
    assert.deepEqual(
      skipped.map(([why]) => why),
      ['of autotorrent itself', 'of autotorrent itself'],
    );
  });

  it('packs what is there', () => {
    const found = record(read(top));
    assert.deepEqual([found.files, found.subfolders], [1, 2]);
    assert.equal(found.fileName(0).toString(), 'file');
    assert.deepEqual([...found.sizes], [3]);
    assert.deepEqual([...found.inodes], [statSync(join(top, 'file')).ino]);
    assert.deepEqual([found.subfolderName(0), found.subfolderName(1)].toSorted(), ['mount', 'sub']);
    assert.equal(read(top, [], found), 'same');
    assert.deepEqual(skipped, []);
  });

  it('does not touch a mount that must be avoided', () => {
    const mount = join(top, 'mount');
    assert.equal(record(read(top, [mount])).subfolders, 1);
    assert.equal(read(mount, [mount]), 'skipped');
    assert.deepEqual(skipped, [
      ['of autotorrent itself', mount],
      ['of autotorrent itself', mount],
    ]);
  });

  it('reads a folder of a pool again, whose times are those of one branch', async (t) => {
    if (process.getuid?.() !== 0) return t.skip('only root can mount a pool');
    const pool = await makeFileSystem('mergerfs', join(top, 'mount'));
    t.after(async () => await pool.close());
    for (const branch of pool.branches) mkdirSync(join(branch, 'music'));
    const folder = join(pool.path, 'music');
    const before = record(read(folder));
    const stats = statSync(folder);
    // In the branch whose folder does not show.
    writeFileSync(join(pool.branches[1] ?? '', 'music', 'new'), 'abc');
    const after = statSync(folder);
    assert.deepEqual([after.mtimeMs, after.ctimeMs], [stats.mtimeMs, stats.ctimeMs]);
    assert.equal(record(read(folder, [], before)).files, 1);
  });

  it('says why there is nothing', () => {
    assert.equal(read(join(top, 'gone')), 'skipped');
    assert.equal(read(join(top, 'file')), 'skipped');
    assert.equal(read(join(top, 'x'.repeat(300))), 'skipped');
    assert.deepEqual(
      skipped.map(([reason]) => reason),
      ['vanished', 'not a folder', 'ENAMETOOLONG'],
    );
  });

  it('refuses a record that is cut short', () => {
    const whole = record(read(top)).packed.slice();
    for (const length of [0, 8, 56, whole.length - 1]) {
      assert.throws(() => new FolderRecord(whole.slice(0, length).buffer), { code: 'INDEX' });
    }
  });
});
