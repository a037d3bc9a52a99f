import assert from 'node:assert/strict';
import { utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLogger } from '../../src/logger.ts';
import { millisecondsOf } from '../../src/native/timestamp.ts';
import { RecordCompletion } from '../../src/server/record-completion.ts';
import { differenceOf, type FileIdentity } from '../../src/source/identity.ts';
import { sourceKey } from '../../src/store/records/key.ts';
import { type SourceRecord, Writer } from '../../src/store/records/record.ts';
import { anywhere } from '../harness/anywhere.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { fileOf, identityAt, planOf, sourceOf } from '../harness/plans.ts';
import { withStore } from '../store/fixture.ts';

/** The record of a file as a store of format 3 has it. */
function older(path: string, { dev, ino, size, mtimeNs }: FileIdentity): Buffer {
  const out = new Writer().bytes(Buffer.from(path)).double(dev).double(Number(ino));
  return out.integer(size).double(millisecondsOf(mtimeNs)).finish();
}

describe('the record of an older version', () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = temporaryFolder('completion');
    path = join(folder, 'film');
    writeFileSync(path, 'x'.repeat(100));
    utimesSync(path, 1_600_000_000.123456, 1_600_000_000.123456);
  });

  /** What the record of source 0 is, after it was an older one and its file was found as recorded. */
  async function completed(isOwn: boolean): Promise<{ record: SourceRecord; changes: number }> {
    const state = join(folder, 'state');
    const plan = planOf('A', [sourceOf(path)], [fileOf(['T', 'film'], [{ length: 100, source: 0, sourceOffset: 0 }])]);
    let id = -1;
    await withStore(state, async (store, level) => {
      await store.createEntry(plan);
      [id = -1] = store.living.sourcesAt(Buffer.from(path));
      await level.put(sourceKey(id), older(path, identityAt(path)));
    });
    return await withStore(state, async (store) => {
      let changes = 0;
      store.watch({ sourcesChanged: () => void changes++ });
      const completion = new RecordCompletion({
        store,
        placing: anywhere().placing,
        isOwn: () => isOwn,
        logger: silentLogger,
      });
      const record = store.source(id);
      assert.ok(record !== undefined && record.ctimeNs === undefined && record.disk === undefined);
      const { size, mtimeNs, ino } = record;
      assert.equal(differenceOf({ size, mtimeNs, ino }, identityAt(path)), undefined);
      for (let i = 0; i < 3; i++) {
        completion.asRecorded(id, store.source(id) ?? record, identityAt(path));
        await sleep(1200);
      }
      await completion.close();
      return { record: store.source(id) ?? record, changes };
    });
  }

  it('gets the ctime, the handle and the disk of the look that found it as recorded, once', async () => {
    const { record, changes } = await completed(false);
    const { path: _path, spares: _spares, handle, disk, ...identity } = record;
    assert.deepEqual(identity, identityAt(path));
    const { placing } = anywhere();
    assert.deepEqual({ handle, disk }, placing.placeOf(Buffer.from(path), identity.dev));
    assert.notEqual(disk, undefined);
    assert.equal(changes, 1);
  });

  it('gets no ctime if it is a file of our own pool', async () => {
    const { record, changes } = await completed(true);
    assert.equal(record.ctimeNs, undefined);
    assert.notEqual(record.disk, undefined);
    assert.equal(changes, 1);
  });
});
