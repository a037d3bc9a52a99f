import assert from 'node:assert/strict';
import fs from 'node:fs';
import { describe, it, type TestContext } from 'node:test';
import { OverlayDisk } from '../../../src/store/overlay/overlay-disk.ts';

const MIB = 2 ** 20;

describe('the disk of the overlay', () => {
  const told = (t: TestContext, blocks: number, bavail: number): { looks: () => number } => {
    const mock = t.mock.method(fs, 'statfsSync', () => ({ bsize: 4096, blocks: blocks / 4096, bavail: bavail / 4096 }));
    return { looks: () => mock.mock.callCount() };
  };

  it('keeps room for the records of the store', (t) => {
    told(t, 2 ** 40, 17 * MIB);
    const disk = new OverlayDisk('/x');
    disk.reserve(MIB);
    assert.throws(() => new OverlayDisk('/x').reserve(MIB + 1), { code: 'ENOSPC' });
  });

  it('keeps a part of a small disk', (t) => {
    told(t, 16 * MIB, 1.5 * MIB);
    new OverlayDisk('/x').reserve(MIB / 2);
    assert.throws(() => new OverlayDisk('/x').reserve(MIB / 2 + 1), { code: 'ENOSPC' });
  });

  it('looks again each time that some mebibytes were written, and no more often', (t) => {
    const { looks } = told(t, 2 ** 40, 2 ** 39);
    const disk = new OverlayDisk('/x');
    for (let i = 0; i < 64; i++) disk.reserve(MIB / 8);
    assert.ok(looks() >= 2 && looks() <= 4, `${looks()}`);
    disk.reserve(64 * MIB);
  });

  it('needs no room for nothing, and believes no file system that tells nothing', (t) => {
    told(t, 2 ** 40, 0);
    new OverlayDisk('/x').reserve(0);
    assert.throws(() => new OverlayDisk('/x').reserve(1), { code: 'ENOSPC' });
    t.mock.restoreAll();
    told(t, 0, 0);
    new OverlayDisk('/x').reserve(MIB);
  });
});
