import assert from 'node:assert/strict';
import { closeSync, constants, fsyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { DiskUse } from '../../src/watch/disk-use.ts';
import { makeFileSystem, type TestFileSystem } from '../harness/file-systems.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';

describe('disks in use', { skip: NEEDS_ROOT }, () => {
  let disk: TestFileSystem;
  let now = 0;
  let use: DiskUse;

  function write(): void {
    const fd = openSync(join(disk.path, 'file'), constants.O_CREAT | constants.O_RDWR);
    writeSync(fd, Buffer.alloc(4096));
    fsyncSync(fd);
    closeSync(fd);
  }

  before(async () => {
    disk = await makeFileSystem('ext4', temporaryFolder('disk-use'));
    const disks = new Map([
      ['uuid:disk', [Buffer.from(disk.path)]],
      ['mount:proc:proc', [Buffer.from('/proc')]],
    ]);
    use = new DiskUse({ disks: () => disks, now: () => now });
    write();
    await use.look();
  });

  after(async () => {
    await disk?.close();
  });

  it('counts what others do, for a while', async () => {
    assert.equal(use.usedLately('uuid:disk'), false, 'nothing has happened since the first look');
    write();
    await use.look();
    assert.equal(use.usedLately('uuid:disk'), true);
    now += 3_600_000;
    await use.look();
    assert.equal(use.usedLately('uuid:disk'), false);
  });

  it('does not count its own work', async () => {
    now += 3_600_000;
    await use.ownWork('uuid:disk', async () => write());
    await use.look();
    assert.equal(use.usedLately('uuid:disk'), false);
    write();
    await use.look();
    assert.equal(use.usedLately('uuid:disk'), true);
  });

  it('lets a disk that is away rest, and takes what has no block device for awake', () => {
    assert.equal(use.usedLately('uuid:another'), false);
    assert.equal(use.usedLately('mount:proc:proc'), true);
  });
});
