/**
 * The loop of a worker: reads requests from its clone of the device, answers reads of lent files, and hands all else over.
 * A read that it answers allocates nothing.
 */
import type { FuseDeviceCalls } from '../../native/fuse-device.ts';
import { ASK_THE_OWNER, type LentReads } from '../../vfs/lending/lent-reads.ts';
import { FIRST_RENEWED } from './nodes.ts';
import { IN_HEADER, Opcode, OUT_HEADER, READ_IN } from './protocol/structures.ts';
import { ENDED } from './request-source.ts';
import { BUFFERS, BufferState, bufferAt, type WorkerMessage, type WorkerSettings } from './worker-table.ts';

const WORD = 2 ** 32;

export interface LoopParts {
  readonly settings: WorkerSettings;
  readonly device: Pick<FuseDeviceCalls, 'read' | 'write'>;
  readonly reads: LentReads | undefined;
  /** Where `reads` reads to, behind room for the header of a reply. */
  readonly reply: Buffer;
  /** The same from where a read is moved to. */
  readonly moved: Buffer;
  /** Waits until there is a request, or the worker has to end: then false. */
  readonly wait: () => boolean;
  readonly post: (message: WorkerMessage, transfer?: readonly ArrayBuffer[]) => void;
  /** Names an errno. */
  readonly nameOf: (errno: number) => string;
}

/**
 * Milliseconds for which it asks for the next request after a read, before it sleeps: a reader asks again soon, and to wake a thread
 * takes longer than to answer it.
 */
const AWAKE_MS = 0.05;

/** Errors after which it reads again: a request that was aborted, a signal, no request. */
const AGAIN: ReadonlySet<string> = new Set(['ENOENT', 'EINTR', 'EAGAIN']);

export function runLoop(parts: LoopParts): void {
  const { settings, device, wait, post, nameOf } = parts;
  const { shared, fd } = settings;
  const { states, lengths } = shared;
  const buffers = Array.from({ length: BUFFERS }, (_, i) => bufferAt(shared, i));
  const spare = Buffer.allocUnsafeSlow(shared.bufferBytes);
  let current = 0;
  let awakeUntil = 0;
  for (;;) {
    current = freeBuffer(states, current);
    if (current < BUFFERS) Atomics.store(lengths, current, 0);
    const buffer = buffers[current] ?? spare;
    const bytes = device.read(fd, buffer);
    if (bytes < 0) {
      if (current < BUFFERS) Atomics.store(states, current, BufferState.FREE);
      const error = nameOf(bytes);
      if (!AGAIN.has(error)) return post({ ended: ENDED.has(error) ? '' : error });
      if (error === 'EAGAIN' && performance.now() >= awakeUntil && !wait()) return;
      continue;
    }
    if (current < BUFFERS) Atomics.store(lengths, current, bytes);
    if (isAnswered(parts, buffer, bytes)) {
      awakeUntil = performance.now() + AWAKE_MS;
      if (current < BUFFERS) {
        Atomics.store(lengths, current, 0);
        Atomics.store(states, current, BufferState.FREE);
      }
    } else if (current < BUFFERS) {
      Atomics.store(states, current, BufferState.HANDED_OVER);
      post({ buffer: current, bytes });
    } else {
      const copy = new Uint8Array(bytes);
      copy.set(spare.subarray(0, bytes));
      post({ copy }, [copy.buffer]);
    }
  }
}

/** Takes a free buffer; BUFFERS: there is none. The one that was used last is in the processor's cache. */
function freeBuffer(states: Int32Array, last: number): number {
  for (let i = 0; i < BUFFERS; i++) {
    const index = (last + i) % BUFFERS;
    if (Atomics.compareExchange(states, index, BufferState.FREE, BufferState.IN_HAND) === BufferState.FREE) {
      return index;
    }
  }
  return BUFFERS;
}

function isAnswered(
  { settings, device, reads, reply, moved, nameOf }: LoopParts,
  message: Buffer,
  bytes: number,
): boolean {
  if (reads === undefined || bytes < IN_HEADER.bytes + READ_IN.bytes) return false;
  if (message.readUInt32LE(IN_HEADER.at.opcode) !== Opcode.READ) return false;
  const node = doubleAt(message, IN_HEADER.at.node);
  const position = doubleAt(message, IN_HEADER.bytes + READ_IN.at.offset);
  const size = message.readUInt32LE(IN_HEADER.bytes + READ_IN.at.size);
  if (node >= FIRST_RENEWED || !Number.isSafeInteger(position + size)) return false;
  if (OUT_HEADER.bytes + size > moved.length) return false;
  const got = reads.read(node, position, size, OUT_HEADER.bytes);
  if (got === ASK_THE_OWNER) return false;
  const answer = reads.isMoved ? moved : reply;
  answer.writeUInt32LE(OUT_HEADER.bytes + got, OUT_HEADER.at.length);
  answer.writeInt32LE(0, OUT_HEADER.at.error);
  message.copy(answer, OUT_HEADER.at.unique, IN_HEADER.at.unique, IN_HEADER.at.unique + 8);
  const written = device.write(settings.fd, answer, OUT_HEADER.bytes + got);
  // ENOENT: the kernel has aborted the request. Others come with the end, which the next read tells.
  return written >= 0 || nameOf(written) === 'ENOENT' || ENDED.has(nameOf(written));
}

function doubleAt(message: Buffer, at: number): number {
  return message.readUInt32LE(at) + message.readUInt32LE(at + 4) * WORD;
}
