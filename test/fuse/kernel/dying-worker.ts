/** A worker that dies with the first request that it reads. */
import { workerData } from 'node:worker_threads';
import { BufferState, bufferAt, type WorkerSettings } from '../../../src/fuse/kernel/worker-table.ts';
import { silentLogger } from '../../../src/logger.ts';
import { openCLibrary } from '../../../src/native/c-library.ts';
import { loadFuseDeviceCalls } from '../../../src/native/fuse-device.ts';

const { fd, shared }: WorkerSettings = workerData;
const device = loadFuseDeviceCalls(openCLibrary(silentLogger));
if (device === undefined) throw new Error('no device');
for (;;) {
  Atomics.store(shared.states, 0, BufferState.IN_HAND);
  const bytes = device.read(fd, bufferAt(shared, 0));
  if (bytes <= 0) continue;
  Atomics.store(shared.lengths, 0, bytes);
  throw new Error('it dies');
}
