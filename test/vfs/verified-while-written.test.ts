import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { hasBit } from '../../src/extent/bitfield.ts';
import type { StoreLevel } from '../../src/store/records/database.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { Volume } from './volume.ts';

/** Keeps the next batch of a database from being written until `release` is called. */
function hold(level: StoreLevel): { readonly held: Promise<void>; readonly release: () => void } {
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const held = new Promise<void>((resolve) => {
    const begin = () => level.batch();
    const original: typeof begin = level.batch.bind(level);
    Object.assign(level, {
      batch: () => {
        const chained = original();
        const write = chained.write.bind(chained);
        Reflect.deleteProperty(level, 'batch');
        return Object.assign(chained, {
          write: async (options: Parameters<typeof write>[0]) => {
            resolve();
            await released;
            await write(options);
          },
        });
      },
    });
  });
  return { held, release };
}

describe('a piece that is written to while its verification is recorded', () => {
  const infoHash = createHash('sha1').update('E').digest('hex');
  let volume: Volume;
  beforeEach(async () => {
    volume = await Volume.open(temporaryFolder('verified'));
  });
  afterEach(async () => await volume.close());

  it('is not verified afterwards', async () => {
    const { store } = volume;
    const handle = await volume.open('T/gap');
    await volume.files.write(handle, Buffer.alloc(20_000, 'right'), 0);
    const since = await store.verificationBegun(infoHash);
    const { held, release } = hold(volume.level);
    // Piece 3 has the bytes of `T/gap` from 9152 on.
    const ended = store.verificationEnded(infoHash, { since, good: Buffer.from([0b0001_0000]), bad: Buffer.alloc(1) });
    await held;
    const writing = volume.files.write(handle, Buffer.from('wrong'), 10_000);
    await new Promise(setImmediate);
    release();
    await Promise.all([ended, writing]);
    assert.equal(hasBit(store.pieceMap(infoHash)!, 3), false);
    await volume.restart();
    assert.equal(hasBit(volume.store.pieceMap(infoHash)!, 3), false);
    assert.equal((await volume.read('T/gap')).toString('latin1', 10_000, 10_005), 'wrong');
  });
});
