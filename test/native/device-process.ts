/** Makes a mount that is never served, and reports what the calls gave: `node device-process.js FOLDER`. */
import { closeSync, readFileSync } from 'node:fs';
import { silentLogger } from '../../src/logger.ts';
import { openCLibrary } from '../../src/native/c-library.ts';
import { loadFuseDeviceCalls } from '../../src/native/fuse-device.ts';
import { loadMountCalls } from '../../src/native/mounting.ts';

export interface DeviceFacts {
  /** The line of the mount table. */
  readonly mounted: string | undefined;
  readonly before: number;
  /** The opcode of the first request. */
  readonly init: number;
  readonly empty: number;
  readonly unasked: number;
  readonly cloneEmpty: number;
  readonly badBacking: number;
}

const [mountPoint = ''] = process.argv.slice(2);
const library = openCLibrary(silentLogger);
const calls = loadFuseDeviceCalls(library);
if (calls === undefined) throw new Error('no calls');
const fd = calls.open();
calls.dontBlock(fd);
const buffer = Buffer.alloc(2 ** 20 + 4096);
const before = calls.read(fd, buffer);
calls.mount(fd, mountPoint, { uid: 7, gid: 8, allowOther: true, readOnly: true });
try {
  const mounted = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .find((line) => line.includes(` ${mountPoint} `));
  const bytes = calls.read(fd, buffer);
  const init = bytes < 0 ? bytes : buffer.readUInt32LE(4);
  const empty = calls.read(fd, buffer);
  const clone = calls.clone(fd);
  calls.dontBlock(clone);
  // struct fuse_out_header { u32 length; s32 error; u64 unique }.
  const reply = Buffer.alloc(32);
  reply.writeUInt32LE(16, 0);
  reply.writeInt32LE(-5, 4);
  reply.writeBigUInt64LE(1_000_001n, 8);
  const facts: DeviceFacts = {
    mounted,
    before,
    init,
    empty,
    unasked: calls.write(fd, reply, 16),
    cloneEmpty: calls.read(clone, buffer),
    badBacking: calls.openBacking(fd, 9999),
  };
  closeSync(clone);
  process.send?.(facts);
} finally {
  closeSync(fd);
  await loadMountCalls(library).unmount?.(mountPoint, true);
  process.disconnect();
}
