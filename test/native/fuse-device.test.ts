/** Calls on /dev/fuse: a mount that a process of its own makes with them, and descriptors that come over a socket. */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fstatSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { silentLogger } from '../../src/logger.ts';
import { openCLibrary } from '../../src/native/c-library.ts';
import { FuseCallError, loadFuseDeviceCalls } from '../../src/native/fuse-device.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import type { DeviceFacts } from './device-process.ts';

const SCRIPT = fileURLToPath(new URL('device-process.js', import.meta.url));

describe('calls on /dev/fuse', { skip: NEEDS_ROOT }, () => {
  const calls = loadFuseDeviceCalls(openCLibrary(silentLogger));
  assert.ok(calls !== undefined);

  it('mount a device, whose clone has requests, too', async () => {
    const mountPoint = join(temporaryFolder('device'), 'mount');
    mkdirSync(mountPoint);
    const child = fork(SCRIPT, [mountPoint], { serialization: 'advanced' });
    const [facts] = (await once(child, 'message')) as [DeviceFacts];
    await once(child, 'exit');
    assert.deepEqual(readdirSync(mountPoint), []);
    const { mounted, badBacking, ...rest } = facts;
    // EPERM before passthrough was agreed on; ENOTTY of a kernel that has none.
    assert.ok([-1, -25].includes(badBacking), `${badBacking}`);
    assert.match(
      mounted ?? '',
      / ro,nosuid,nodev.* - fuse\.autotorrent autotorrent .*user_id=7,group_id=8,.*default_permissions,allow_other/,
    );
    assert.deepEqual(rest, {
      // EPERM: nothing is mounted yet.
      before: -1,
      init: 26,
      // EAGAIN.
      empty: -11,
      // Of a request that there is none of: ENOENT.
      unasked: -2,
      cloneEmpty: -11,
    });
  });

  it('fail by name', () => {
    const fd = calls.open();
    try {
      const options = { uid: 0, gid: 0, allowOther: false, readOnly: false };
      const failsWith = (code: string) => (error: unknown) => error instanceof FuseCallError && error.code === code;
      assert.throws(() => calls.mount(fd, '/no/such/folder', options), failsWith('ENOENT'));
      // EINVAL of older kernels.
      assert.throws(() => calls.clone(fd), /^FuseCallError: FUSE_DEV_IOC_CLONE: (EPERM|EINVAL)$/);
      assert.throws(() => calls.write(fd, Buffer.alloc(8), 9), RangeError);
    } finally {
      closeSync(fd);
    }
  });

  it('close the clone that they could not make', () => {
    const fd = calls.open();
    const open = (): number => readdirSync('/proc/self/fd').length;
    const before = open();
    assert.throws(() => calls.clone(fd));
    assert.equal(open(), before);
    closeSync(fd);
  });

  it('take no descriptor where none has come', () => {
    const [ours, theirs] = calls.socketPair();
    try {
      assert.equal(calls.receiveDescriptor(ours), undefined);
      calls.write(theirs, Buffer.from('x'), 1);
      assert.equal(calls.receiveDescriptor(ours), undefined);
      assert.ok(fstatSync(ours).isSocket());
    } finally {
      closeSync(ours);
      closeSync(theirs);
    }
    // The other end has gone.
    const [left, right] = calls.socketPair();
    closeSync(right);
    assert.equal(calls.receiveDescriptor(left), undefined);
    closeSync(left);
  });
});
