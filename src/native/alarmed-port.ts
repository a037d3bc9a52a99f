/**
 * Messages to a thread that blocks in poll(2), and so never gets to its event loop: an alarm (`WaitingCalls.alarm`) says that there are
 * some, and the thread takes them from its port by hand.
 */
import { writeSync } from 'node:fs';
import { type MessagePort, receiveMessageOnPort, type Worker } from 'node:worker_threads';
import type { WaitingCalls } from './waiting.ts';

const ONE = Buffer.from(new BigUint64Array([1n]).buffer);
const COUNT = Buffer.alloc(8);

/** Sends a message, and wakes the thread. */
export function postAlarmed(worker: Worker, alarm: number, message: unknown): void {
  worker.postMessage(message);
  writeSync(alarm, ONE);
}

/** In the thread: resets the alarm, and gives the messages that have come, in their order. */
export function takeAlarmed(port: MessagePort, alarm: number, calls: Pick<WaitingCalls, 'read'>): unknown[] {
  // Before the messages: one that comes meanwhile sets it again.
  calls.read(alarm, COUNT);
  const messages: unknown[] = [];
  for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
    messages.push(next.message);
  }
  return messages;
}
