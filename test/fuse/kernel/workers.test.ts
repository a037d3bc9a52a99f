import assert from 'node:assert/strict';
import { closeSync, read, writeSync } from 'node:fs';
import { it } from 'node:test';
import { promisify } from 'node:util';
import { IN_HEADER, Opcode, OUT_HEADER, READ_IN } from '../../../src/fuse/kernel/protocol/structures.ts';
import type { ReplyPort } from '../../../src/fuse/kernel/request-source.ts';
import { Workers } from '../../../src/fuse/kernel/workers.ts';
import { silentLogger } from '../../../src/logger.ts';
import { openCLibrary } from '../../../src/native/c-library.ts';
import { loadFuseDeviceCalls } from '../../../src/native/fuse-device.ts';
import { loadWaitingCalls } from '../../../src/native/waiting.ts';
import { waitUntil } from '../../harness/daemon.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { BASE, Volume } from '../../vfs/volume.ts';

const readAsync = promisify(read);
const library = openCLibrary(silentLogger);

function request(opcode: number, node = 1, position = 0, size = 0): Buffer {
  const message = Buffer.alloc(IN_HEADER.bytes + READ_IN.bytes);
  message.writeUInt32LE(message.length, IN_HEADER.at.length);
  message.writeUInt32LE(opcode, IN_HEADER.at.opcode);
  message.writeBigUInt64LE(77n, IN_HEADER.at.unique);
  message.writeBigUInt64LE(BigInt(node), IN_HEADER.at.node);
  message.writeBigUInt64LE(BigInt(position), IN_HEADER.bytes + READ_IN.at.offset);
  message.writeUInt32LE(size, IN_HEADER.bytes + READ_IN.at.size);
  return message;
}

/** A worker whose device is a socket; `ours` is the kernel's end. */
async function open(script?: URL) {
  const volume = await Volume.open(temporaryFolder('workers'));
  const device = loadFuseDeviceCalls(library);
  const waiting = loadWaitingCalls(library);
  assert.ok(device !== undefined && waiting !== undefined);
  const [ours, theirs] = device.socketPair();
  const errors: string[] = [];
  const workers = new Workers({
    fd: theirs,
    device: { clone: (fd) => fd, dontBlock: device.dontBlock },
    waiting,
    table: volume.files.lending.table,
    count: 1,
    logger: { ...silentLogger, error: (line: string) => void errors.push(line) },
    ...(script === undefined ? {} : { script }),
  });
  const taken: { readonly message: Buffer; readonly port: ReplyPort }[] = [];
  workers.start(8192, (message, port) => {
    taken.push({ message: Buffer.from(message), port });
    return undefined;
  });
  return { volume, ours, workers, taken, errors };
}

it('answers reads of lent files, and hands all else over', async () => {
  const { volume, ours, workers, taken } = await open();
  const ino = volume.ino('T/whole');
  const handle = await volume.open('T/whole', 0);
  writeSync(ours, request(Opcode.READ, ino, 10, 1000));
  await waitUntil('the first read', async () => taken.length === 1);
  assert.deepEqual(taken[0]?.message, request(Opcode.READ, ino, 10, 1000));
  await volume.readHandle(handle, 4096);
  writeSync(ours, request(Opcode.READ, ino, 10, 1000));
  const reply = Buffer.alloc(4096);
  const { bytesRead } = await readAsync(ours, reply, 0, reply.length, null);
  assert.equal(taken.length, 1);
  assert.equal(bytesRead, OUT_HEADER.bytes + 1000);
  assert.equal(reply.readUInt32LE(0), bytesRead);
  assert.equal(reply.readBigUInt64LE(OUT_HEADER.at.unique), 77n);
  assert.deepEqual(reply.subarray(OUT_HEADER.bytes, bytesRead), BASE['T/whole']!.subarray(10, 1010));
  assert.deepEqual(volume.files.lending.counts, { reads: 1, bytes: 1000 });
  // More than there are buffers for, which are free again.
  for (let i = 0; i < 40; i++) {
    const message = request(Opcode.GETATTR, i + 1);
    writeSync(ours, message);
    await waitUntil('a request', async () => taken.length === i + 2);
    assert.deepEqual(taken.at(-1)?.message, message);
  }
  assert.equal(taken[0]?.port.write(Buffer.from('a reply')), true);
  assert.equal((await readAsync(ours, reply, 0, 4096, null)).bytesRead, 7);
  await volume.files.release(handle);
  workers.stop();
  // A reply that comes late goes nowhere, once the thread has ended.
  await waitUntil('the end', async () => taken[0]?.port.write(Buffer.from('late')) === false);
  closeSync(ours);
  await volume.close();
});

it('takes up what a thread had in hand that died, and starts another', async () => {
  const { volume, ours, workers, taken, errors } = await open(new URL('./dying-worker.js', import.meta.url));
  writeSync(ours, request(Opcode.GETATTR, 5));
  await waitUntil('what it left', async () => taken.length === 1);
  assert.deepEqual(taken[0]?.message, request(Opcode.GETATTR, 5));
  assert.match(errors[0] ?? '', /is started again: it dies/);
  writeSync(ours, request(Opcode.GETATTR, 6));
  await waitUntil('the next one', async () => taken.length === 2);
  workers.stop();
  closeSync(ours);
  await volume.close();
});
