/**
 * The thread that keeps the leases: blocks until a writer wants one, a message comes, or a writer has waited for long enough.
 *
 * It makes no call that waits for a disk, so it is never late.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { silentLogger } from '../logger.ts';
import { takeAlarmed } from '../native/alarmed-port.ts';
import { openCLibrary } from '../native/c-library.ts';
import { loadLeaseCalls } from '../native/leases.ts';
import { loadWaitingCalls } from '../native/waiting.ts';
import { HeldLeases } from './held-leases.ts';
import type { FromKeeper, LeaseSettings, ToKeeper } from './protocol.ts';

/** The thread looks this often even if nothing happens, should an alarm be lost. */
const LONGEST_WAIT_MS = 60_000;

const port = parentPort;
if (port === null) throw new Error('lease-worker runs as a worker thread only');
const { alarm }: LeaseSettings = workerData;
const library = openCLibrary(silentLogger);
const [waiting, calls] = [loadWaitingCalls(library), loadLeaseCalls(library)];
if (waiting === undefined || calls === undefined) throw new Error('the C library lacks a function');
const listening = calls.listen();
const leases = new HeldLeases({ calls });
const post = (message: FromKeeper): void => port.postMessage(message);
let open = true;

function tellWanted(fds: readonly number[]): void {
  if (fds.length > 0) post({ kind: 'wanted', fds });
}

function take({ kind, fds }: ToKeeper): void {
  switch (kind) {
    case 'take':
      post({ kind: 'taken', leases: fds.map((fd) => [fd, leases.take(fd)] as const) });
      break;
    case 'giveBack':
      for (const fd of fds) leases.giveBack(fd);
      break;
    case 'forget':
      for (const fd of fds) leases.forget(fd);
      post({ kind: 'forgotten', fds });
      break;
    case 'close':
      open = false;
      break;
    default:
      break;
  }
}

while (open) {
  const longest = Math.ceil(leases.nextMs ?? LONGEST_WAIT_MS);
  const ready = waiting.wait({ readable: [alarm, listening] }, longest);
  if (ready.includes(listening)) tellWanted(leases.wanted(calls.wanted()));
  // A writer must not wait for a signal that was lost.
  if (ready.length === 0) tellWanted(leases.wanted('all'));
  if (ready.includes(alarm) || ready.length === 0) {
    for (const message of takeAlarmed(port, alarm, waiting)) take(message as ToKeeper);
  }
  const late = leases.expire();
  if (late.length > 0) post({ kind: 'late', fds: late });
}
leases.forgetAll();
port.close();
