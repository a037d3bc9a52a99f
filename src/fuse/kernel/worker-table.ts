/**
 * What the serving thread and a worker share beside the table of lent files: buffers for messages, and the state of each.
 *
 * A worker reads a message into a free buffer. If it answers, the buffer is free again; else it hands the buffer over, and the
 * serving thread takes it, and frees it later. What a worker that dies has not answered is `IN_HAND` or `HANDED_OVER`.
 */
import type { SharedTable } from '../../vfs/lending/table.ts';

/** Messages that may wait to be handled by the serving thread at once; later ones are copied. */
export const BUFFERS = 16;

export const BufferState = { FREE: 0, IN_HAND: 1, HANDED_OVER: 2, TAKEN: 3 } as const;

export interface WorkerShared {
  /** One after the other, of `bufferBytes` each. Pages that nobody wrote to take no memory. */
  readonly messages: Uint8Array<SharedArrayBuffer>;
  readonly states: Int32Array<SharedArrayBuffer>;
  /** Bytes of the message in a buffer; 0 while none is read. */
  readonly lengths: Int32Array<SharedArrayBuffer>;
  readonly bufferBytes: number;
}

/** What a worker is started with. */
export interface WorkerSettings {
  readonly shared: WorkerShared;
  readonly table: SharedTable;
  /** A clone of the device. It blocks no reader. */
  readonly fd: number;
  /** Readable when the worker has to end. */
  readonly alarm: number;
  /** Its number among the readers of the table. */
  readonly reader: number;
}

/** A buffer by its number; a copy of a message; or: the kernel sends no more. */
export type WorkerMessage =
  | { readonly buffer: number; readonly bytes: number }
  | { readonly copy: Uint8Array<ArrayBuffer> }
  | { readonly ended: string };

export function newShared(bufferBytes: number): WorkerShared {
  // Pages of their own.
  const each = Math.ceil(bufferBytes / 4096) * 4096;
  const numbers = (): Int32Array<SharedArrayBuffer> => new Int32Array(new SharedArrayBuffer(BUFFERS * 4));
  return {
    messages: new Uint8Array(new SharedArrayBuffer(each * BUFFERS)),
    states: numbers(),
    lengths: numbers(),
    bufferBytes: each,
  };
}

export function bufferAt({ messages, bufferBytes }: WorkerShared, index: number, bytes = bufferBytes): Buffer {
  return Buffer.from(messages.buffer, index * bufferBytes, bytes);
}
