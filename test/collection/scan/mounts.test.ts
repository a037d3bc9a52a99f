import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { currentMountPoints, isInside, mountPointsOfType, realPath } from '../../../src/collection/scan/mounts.ts';
import { temporaryFolder } from '../../harness/folder.ts';

const MOUNTINFO = `22 28 0:21 / /proc rw,nosuid - proc proc rw
99 28 0:50 / /mnt/my\\040store\\134x rw,nosuid,nodev shared:7 master:1 - fuse.autotorrent autotorrent rw,user_id=0
98 28 0:51 / /mnt/ssh rw - fuse.sshfs host:/ rw
`;

describe('mounts', () => {
  const temp = temporaryFolder('mounts');

  it('finds those of a type, and decodes their escapes', () => {
    assert.deepEqual(mountPointsOfType(Buffer.from(MOUNTINFO), new Set(['fuse.autotorrent'])), ['/mnt/my store\\x']);
  });

  it("reads this machine's", () => assert.ok(currentMountPoints(['proc']).includes('/proc')));

  it('knows what is inside what', () => {
    assert.ok(isInside('/a', '/a') && isInside('/a/b', '/a') && isInside('/a', '/'));
    assert.ok(!isInside('/ab', '/a') && !isInside('/', '/a'));
  });

  it('resolves links, and never enters what it must avoid', () => {
    mkdirSync(join(temp, 'real/sub'), { recursive: true });
    symlinkSync('real', join(temp, 'link'));
    symlinkSync(`${temp}/link/sub/..`, join(temp, 'far'));
    assert.deepEqual(realPath(join(temp, 'far'), []), { real: join(temp, 'real') });
    assert.deepEqual(realPath(join(temp, 'far/./gone/x'), []), { real: join(temp, 'real/gone/x') });
    assert.deepEqual(realPath('/', []), { real: '/' });
    assert.equal(realPath(join(temp, 'far'), [join(temp, 'real/sub')]), undefined);
    assert.equal(realPath(join(temp, 'link/sub/x'), [join(temp, 'real/sub')]), undefined);
  });

  it('gives up on a loop', () => {
    symlinkSync('loop', join(temp, 'loop'));
    assert.deepEqual(realPath(join(temp, 'loop'), []), {
      says: 'is reached through too many levels of symbolic links',
    });
  });
});
