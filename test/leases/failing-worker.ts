/** A thread of leases that takes those of the first message, and fails at the second. */
import { parentPort } from 'node:worker_threads';
import type { FromKeeper, ToKeeper } from '../../src/leases/protocol.ts';
import { silentLogger } from '../../src/logger.ts';
import { openCLibrary } from '../../src/native/c-library.ts';
import { loadLeaseCalls } from '../../src/native/leases.ts';

const calls = loadLeaseCalls(openCLibrary(silentLogger));
calls?.listen();
parentPort?.on('message', ({ kind, fds }: ToKeeper) => {
  if (kind !== 'take' || calls === undefined) throw new Error('the thread fails');
  const taken: FromKeeper = { kind: 'taken', leases: fds.map((fd) => [fd, calls.take(fd)] as const) };
  parentPort?.postMessage(taken);
});
