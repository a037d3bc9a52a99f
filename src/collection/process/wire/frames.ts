/**
 * Frames on the index process's socket: `u32 length | u8 type | payload`, little-endian; the length counts the payload.
 * A connection is a conversation: the client sends one request after the other, and the answers come in that order.
 *
 *     client                          index process
 *     hello(build)                    welcome | otherBuild
 *     open(version or nothing)        opened(version) | error
 *     ask(method, questions)          answers(some of them)… until all are there | error
 *     rebuild(request)                progress…, log…, rebuilt(result) | error
 *     awaitStopped                    noneStops, when no rebuild goes on that was stopped
 *
 * A client that ends its half of the connection stops its rebuild. `hello`, `welcome`, `otherBuild` and `error` stay as
 * they are for ever: builds that differ in all else tell each other so with them.
 */
import type { Socket } from 'node:net';
import { MalformedBytes } from '../../../bytes/byte-codec.ts';

export const FRAME = {
  hello: 1,
  welcome: 2,
  otherBuild: 3,
  error: 4,
  open: 5,
  opened: 6,
  ask: 7,
  answers: 8,
  rebuild: 9,
  progress: 10,
  log: 11,
  rebuilt: 12,
  awaitStopped: 13,
  noneStops: 14,
} as const;
export type FrameType = (typeof FRAME)[keyof typeof FRAME];

/** Bytes of a payload: of a request, and of an answer. One tree may hold all of a collection's files. */
export const REQUEST_LIMIT = 16 << 20;
export const ANSWER_LIMIT = 1 << 30;

const HEADER = 5;

export interface Frame {
  readonly type: number;
  readonly payload: Buffer;
}

/** Sends a frame. Resolves when the other side takes more, or at once if it is gone. */
export async function send(socket: Socket, type: FrameType, payload: Uint8Array = Buffer.alloc(0)): Promise<void> {
  const header = Buffer.allocUnsafe(HEADER);
  header.writeUInt32LE(payload.length, 0);
  header[4] = type;
  if (socket.destroyed || !socket.writable) return;
  socket.cork();
  socket.write(header);
  const room = socket.write(payload);
  socket.uncork();
  if (room) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      socket.off('drain', done);
      socket.off('close', done);
      resolve();
    };
    socket.on('drain', done);
    socket.on('close', done);
  });
}

/** Reads frames from a socket. It reads at most one chunk and one frame ahead. */
export class FrameReader {
  readonly #socket: Socket;
  readonly #limit: number;
  #chunks: Buffer[] = [];
  #bytes = 0;
  /** Called when there is more to look at: bytes, the end, or a failure. */
  #wake: () => void = () => {};
  #ended = false;
  #failure: Error | undefined;

  constructor(socket: Socket, limit: number) {
    this.#socket = socket;
    this.#limit = limit;
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#bytes += chunk.length;
      this.#wake();
      if (this.#bytes > this.#wanted()) socket.pause();
    });
    const end = (): void => {
      this.#ended = true;
      this.#wake();
    };
    socket.on('end', end);
    socket.on('close', end);
    socket.on('error', (error) => {
      this.#failure ??= error;
      this.#wake();
    });
  }

  /** Why the connection broke, where that is known. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Undefined at the end of the connection. @throws MalformedBytes for a frame over the limit */
  async next(): Promise<Frame | undefined> {
    for (;;) {
      const frame = this.#take();
      if (frame !== undefined) return frame;
      if (this.#ended || this.#failure !== undefined) return undefined;
      const more = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#socket.resume();
      await more;
    }
  }

  #take(): Frame | undefined {
    if (this.#bytes < HEADER) return undefined;
    const length = this.#length();
    if (length > this.#limit) throw new MalformedBytes(`a message of ${length} bytes is too long`);
    const end = HEADER + length;
    if (this.#bytes < end) return undefined;
    const all = this.#joined();
    this.#chunks = all.length === end ? [] : [all.subarray(end)];
    this.#bytes -= end;
    return { type: all[4] ?? 0, payload: all.subarray(HEADER, end) };
  }

  /** Bytes to hold: beyond the frame that comes next, one chunk. */
  #wanted(): number {
    return this.#bytes < HEADER ? HEADER : HEADER + Math.min(this.#length(), this.#limit);
  }

  #length(): number {
    const first = this.#chunks[0];
    return (first !== undefined && first.length >= 4 ? first : this.#joined()).readUInt32LE(0);
  }

  #joined(): Buffer {
    const [first] = this.#chunks;
    const all = this.#chunks.length === 1 && first !== undefined ? first : Buffer.concat(this.#chunks);
    this.#chunks = [all];
    return all;
  }
}
