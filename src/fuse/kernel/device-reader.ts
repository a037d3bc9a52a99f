/** Reads requests with a thread of libuv's pool, one at a time, and hands them to the thread that serves. */
import { read, writeSync } from 'node:fs';
import { errnoOf, messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { ENDED, type ReplyPort, type RequestSource, type TakeRequest } from './request-source.ts';

/** The request was aborted before it was read; a signal came; there is none now. */
const AGAIN: ReadonlySet<string> = new Set(['ENOENT', 'EINTR', 'EAGAIN']);
/** Buffers that are kept for the next messages. Those of writes are in use for long. */
const KEPT_BUFFERS = 4;

export class DeviceReader implements RequestSource {
  readonly #fd: number;
  readonly #logger: Logger;
  readonly #free: Buffer[] = [];
  readonly #port: ReplyPort;
  #stopped = false;
  #end = (): void => {};
  readonly ended = new Promise<void>((resolve) => {
    this.#end = resolve;
  });

  /** `fd`: of /dev/fuse, which blocks, and is mounted. */
  constructor(fd: number, logger: Logger) {
    this.#fd = fd;
    this.#logger = logger;
    this.#port = { write: (reply) => writeReply(fd, reply) };
  }

  start(bufferBytes: number, take: TakeRequest): void {
    const next = (): void => {
      const buffer = this.#free.pop() ?? Buffer.allocUnsafeSlow(bufferBytes);
      read(this.#fd, buffer, 0, bufferBytes, null, (error, bytes) => {
        if (error === null) this.#take(buffer, bytes, take);
        else {
          this.#release(buffer);
          if (!AGAIN.has(error.code ?? '')) {
            if (!ENDED.has(error.code ?? '')) this.#logger.error(`no more requests can be read: ${messageOf(error)}`);
            this.#stopped = true;
          }
        }
        if (this.#stopped) this.#end();
        else next();
      });
    };
    next();
  }

  #take(buffer: Buffer, bytes: number, take: TakeRequest): void {
    const inUse = take(buffer.subarray(0, bytes), this.#port);
    if (inUse === undefined) this.#release(buffer);
    else void inUse.then(() => this.#release(buffer));
  }

  #release(buffer: Buffer): void {
    if (this.#free.length < KEPT_BUFFERS) this.#free.push(buffer);
  }

  stop(): void {
    this.#stopped = true;
  }
}

/** Writes a reply to the device. False if the kernel has aborted the request. @throws other file errors */
export function writeReply(fd: number, reply: Buffer): boolean {
  try {
    writeSync(fd, reply);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}
