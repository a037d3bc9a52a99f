import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { isAtOrBelow, parseMounts, readMounts } from '../../src/native/mountinfo.ts';

const below = (path: string, folder: string): boolean => isAtOrBelow(Buffer.from(path), Buffer.from(folder));

describe('the mount table', () => {
  it('is parsed, with escapes, bytes and optional fields', () => {
    const text = Buffer.from(
      '36 35 98:0 /root /mnt\\040a\\134b\\011 rw,noatime master:1 shared:2 - ext4 /dev/root rw\n' +
        '37 35 0:300 / /m\xe9 rw - fuse.autotorrent autotorrent rw\n\nnonsense\n',
      'latin1',
    );
    assert.deepEqual(parseMounts(text), [
      { id: 36, path: Buffer.from('/mnt a\\b\t'), type: 'ext4', dev: 98 * 256, source: '/dev/root' },
      { id: 37, path: Buffer.from('/m\xe9', 'latin1'), type: 'fuse.autotorrent', dev: 0x10002c, source: 'autotorrent' },
    ]);
  });

  it('has device numbers as stat shows them', async () => {
    const proc = (await readMounts()).findLast((mount) => mount.path.toString() === '/proc');
    assert.equal(proc?.dev, (await stat('/proc')).dev);
  });

  it('knows what lies below a folder', () => {
    assert.ok(below('/a/b', '/a'));
    assert.ok(below('/a', '/a'));
    assert.ok(below('/a', '/'));
    assert.ok(!below('/ab', '/a'));
    assert.ok(!below('/', '/a'));
  });
});
