/** A worker (`worker-loop.ts`) as a thread. */
import { getSystemErrorName } from 'node:util';
import { parentPort, workerData } from 'node:worker_threads';
import { silentLogger } from '../../logger.ts';
import { loadBorrowedReads } from '../../native/borrowed-reads.ts';
import { openCLibrary } from '../../native/c-library.ts';
import { loadFuseDeviceCalls } from '../../native/fuse-device.ts';
import { loadWaitingCalls } from '../../native/waiting.ts';
import { LentReads, MOVED_BYTES } from '../../vfs/lending/lent-reads.ts';
import { OUT_HEADER } from './protocol/structures.ts';
import { runLoop } from './worker-loop.ts';
import type { WorkerSettings } from './worker-table.ts';

const port = parentPort;
if (port === null) throw new Error('this runs as a worker thread only');
const settings: WorkerSettings = workerData;
const { fd, alarm, table, reader, shared } = settings;
const library = openCLibrary(silentLogger);
const device = loadFuseDeviceCalls(library);
const wait = loadWaitingCalls(library)?.waiter([fd, alarm]);
if (device === undefined || wait === undefined) throw new Error('koffi is missing');
const reply = Buffer.allocUnsafeSlow(OUT_HEADER.bytes + shared.bufferBytes + MOVED_BYTES);
const calls = loadBorrowedReads(library, reply);
runLoop({
  settings,
  device,
  reads: calls && new LentReads(table, calls, reply, reader),
  reply,
  moved: reply.subarray(MOVED_BYTES),
  wait: () => !wait(-1).includes(alarm),
  post: (message, transfer) => port.postMessage(message, transfer),
  nameOf: getSystemErrorName,
});
