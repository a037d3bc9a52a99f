import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLogger } from '../../src/logger.ts';
import { DescriptorBudget } from '../../src/native/descriptor-budget.ts';
import type { Leases } from '../../src/source/leased-sources.ts';
import { ReadersLook } from '../../src/source/look-at-readers.ts';
import { OwnMounts } from '../../src/source/own-mounts.ts';
import { SourceFiles, type SourceFilesOptions } from '../../src/source/served-sources.ts';
import { anywhere } from '../harness/anywhere.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { LOCAL_LOOKS } from '../harness/looks.ts';
import { sourceOf } from '../harness/plans.ts';

function served(record: SourceFilesOptions['record'], more: Partial<SourceFilesOptions> = {}): SourceFiles {
  const ownMounts = new OwnMounts();
  const readersLook = new ReadersLook({ ownMounts, ownFolders: [] });
  return new SourceFiles({
    record,
    access: anywhere({ ownMounts }),
    readersLook,
    looks: LOCAL_LOOKS,
    onReaders() {},
    descriptors: DescriptorBudget.ofProcess(),
    logger: silentLogger,
    ...more,
  });
}

describe('the sources that are open', () => {
  let records: ReturnType<typeof sourceOf>[];
  let folder: string;
  before(async () => {
    folder = temporaryFolder('source');
    for (const name of ['a', 'b', 'c']) await fs.writeFile(join(folder, name), 'bytes');
    records = ['a', 'b', 'c'].map((name) => sourceOf(join(folder, name)));
  });

  it('opens one anew that its last user closed while it was being looked at', async () => {
    const record = sourceOf(join(folder, 'a'));
    const sources = served(() => record);
    const first = await sources.serve(1);
    sources.retain(first);
    const looking = sources.serve(1, true);
    sources.release(first);
    await looking;
    // Within the second for which a look is believed.
    assert.equal((await sources.serve(1)).closed, false);
    sources.close();
  });

  it('compares the ctime everywhere, and the inode where the ctime says nothing', async () => {
    const path = join(folder, 'looked at');
    await fs.writeFile(path, 'bytes');
    await fs.utimes(path, 1000, 1000);
    const recorded = sourceOf(path);
    const numbered = { ...recorded, ino: recorded.ino + 1n, dev: -1 };
    const differenceFrom = async (record: typeof recorded, trueCtime: boolean): Promise<string | undefined> => {
      const looks = { ...LOCAL_LOOKS, kindOf: async () => ({ local: false, trueCtime }) };
      const doubts = { of: () => 0, differs: () => 1, asRecorded: () => 0, wrong() {}, urgent: () => false };
      const sources = served(() => record, { looks, doubts });
      const { difference, doubt } = await sources.serve(1);
      assert.equal(doubt > 0, difference !== undefined);
      sources.close();
      return difference?.code;
    };
    assert.equal(await differenceFrom(recorded, true), undefined);
    assert.equal(await differenceFrom(recorded, false), undefined);
    assert.equal(await differenceFrom(numbered, true), undefined);
    assert.equal(await differenceFrom(numbered, false), 'replaced');
    assert.equal(await differenceFrom({ ...numbered, ctimeNs: undefined }, true), 'replaced');
    await sleep(20);
    await fs.writeFile(path, 'other');
    await fs.utimes(path, 1000, 1000);
    assert.equal(await differenceFrom(recorded, true), 'ctime');
    assert.equal(await differenceFrom(recorded, false), 'ctime');
  });

  it('closes an idle one where the budget is used up, and marks none as broken', async () => {
    const budget = new DescriptorBudget(2, 100);
    const sources = served((id) => records[id], { descriptors: budget });
    const [a, b] = [await sources.serve(0), await sources.serve(1)];
    await sources.serve(2);
    assert.deepEqual([a.closed, b.closed, budget.held, sources.open.size], [true, false, 2, 2]);
    sources.close();
    assert.equal(budget.held, 0);
  });

  it('says ENFILE where all are in use, and marks none as broken', async () => {
    const sources = served((id) => records[id], { descriptors: new DescriptorBudget(1, 100) });
    const a = await sources.serve(0);
    a.begin();
    await assert.rejects(sources.serve(1), { code: 'ENFILE' });
    assert.deepEqual(sources.broken, []);
    a.done();
    await sources.serve(1);
    sources.close();
  });

  it('has leases on those that are open, again after the thread of the leases has failed', async () => {
    const [taken, given]: [number[], number[]] = [[], []];
    let listener: Parameters<Leases['listen']>[0] | undefined;
    let works = true;
    const leases: Leases = {
      listen: (one) => void (listener = one),
      take: async (fd) => (works && taken.push(fd) > 0 ? 'held' : 'none'),
      giveBack: (fd) => void given.push(fd),
      forget: () => undefined,
    };
    const doubts = {
      mayBeLeased: () => true,
      wasOpened: () => false,
      opened() {},
      unleasable() {},
      unwritten: () => 0,
    };
    let end: () => void = () => {};
    const kept = new Promise<void>((resolve) => {
      end = resolve;
    });
    const looks = { ...LOCAL_LOOKS, kindOf: async () => ({ local: true, trueCtime: true, leases: true }) };
    const sources = served((id) => records[id], {
      looks,
      leases: { leases, doubts, beforeWrite: async () => await kept },
    });
    const a = await sources.serve(1);
    await sleep(0);
    assert.deepEqual([taken, sources.leaseCounts], [[a.fd], { held: 1, wanted: 0 }]);
    listener?.onWanted([a.fd]);
    assert.deepEqual(sources.leaseCounts, { held: 0, wanted: 1 });
    works = false;
    listener?.onGone();
    assert.deepEqual(sources.leaseCounts, { held: 0, wanted: 0 });
    const b = await sources.serve(2);
    await sleep(0);
    works = true;
    listener?.onBack();
    await sleep(0);
    assert.deepEqual([taken, sources.leaseCounts], [[a.fd, a.fd, b.fd], { held: 2, wanted: 0 }]);
    // What was kept for the writer of before gives nothing back that was taken since.
    end();
    await sleep(0);
    assert.deepEqual([given, sources.leaseCounts], [[], { held: 2, wanted: 0 }]);
    sources.close();
  });

  it('looks at a source that is opened, though a reader is being served at the same time', async () => {
    const sources = served((id) => records[id]);
    await sources.serve(0);
    await fs.appendFile(join(folder, 'a'), ' more');
    const reading = sources.serve(0);
    // A reader may still believe the last look. Who opens the file may not.
    await Promise.all([reading, assert.rejects(sources.serve(0, true), { code: 'EIO' })]);
    sources.close();
  });
});
