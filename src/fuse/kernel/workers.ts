/**
 * Workers: threads that read the kernel's requests, each from a clone of the device (`native-notes/kernel.md`). They answer
 * reads of lent files, and hand all else to the thread that serves, which replies on the clone that the request came from.
 *
 * A worker that dies is started again, after pauses that grow. While there is none, the serving thread reads itself. Requests
 * that a dead worker had in hand are taken up.
 */
import { closeSync, writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { longerPause, type Pauses } from '../../longer-pause.ts';
import type { FuseDeviceCalls } from '../../native/fuse-device.ts';
import type { WaitingCalls } from '../../native/waiting.ts';
import type { SharedTable } from '../../vfs/lending/table.ts';
import { DeviceReader, writeReply } from './device-reader.ts';
import type { ReplyPort, RequestSource, TakeRequest } from './request-source.ts';
import { BUFFERS, BufferState, bufferAt, newShared, type WorkerMessage, type WorkerSettings } from './worker-table.ts';

export interface WorkersOptions {
  /** Of /dev/fuse, which is mounted. */
  readonly fd: number;
  readonly device: Pick<FuseDeviceCalls, 'clone' | 'dontBlock'>;
  readonly waiting: Pick<WaitingCalls, 'alarm'>;
  readonly table: SharedTable;
  readonly count: number;
  readonly logger: Logger;
  readonly script?: URL;
}

/** Milliseconds before a worker is started again. */
const PAUSES: Pauses = [100, 30_000];
/** Milliseconds after which a worker that dies is one that worked. */
const LONG_MS = 60_000;

/** A clone of the device, and the thread that reads from it now. */
class Clone implements ReplyPort {
  readonly fd: number;
  readonly reader: number;
  thread: Worker | undefined;
  pauseMs = 0;
  #closed = false;
  #ending = false;

  constructor(fd: number, reader: number) {
    this.fd = fd;
    this.reader = reader;
  }

  write(reply: Buffer): boolean {
    return !this.#closed && writeReply(this.fd, reply);
  }

  /** Closes the descriptor once the thread has ended. Its number may then be another file's. */
  end(): void {
    this.#ending = true;
    this.closeIfDue();
  }

  closeIfDue(): void {
    if (!this.#ending || this.#closed || this.thread !== undefined) return;
    this.#closed = true;
    closeSync(this.fd);
  }
}

export class Workers implements RequestSource {
  readonly #options: WorkersOptions;
  readonly #alarm: number;
  readonly #clones: readonly Clone[];
  #instead: DeviceReader | undefined;
  #stopped = false;
  #alarmClosed = false;
  #bufferBytes = 0;
  #take: TakeRequest = () => undefined;
  #end = (): void => {};
  readonly ended = new Promise<void>((resolve) => {
    this.#end = resolve;
  });

  /** @throws FuseCallError if the device cannot be cloned */
  constructor(options: WorkersOptions) {
    this.#options = options;
    const { fd, device, waiting, count } = options;
    const clones: Clone[] = [];
    try {
      for (let i = 0; i < count; i++) {
        const clone = device.clone(fd);
        clones.push(new Clone(clone, i));
        device.dontBlock(clone);
      }
      this.#alarm = waiting.alarm();
    } catch (error) {
      for (const clone of clones) closeSync(clone.fd);
      throw error;
    }
    this.#clones = clones;
  }

  start(bufferBytes: number, take: TakeRequest): void {
    [this.#bufferBytes, this.#take] = [bufferBytes, take];
    for (const clone of this.#clones) this.#startThread(clone);
  }

  #startThread(clone: Clone): void {
    const { script = new URL('./worker.js', import.meta.url), table } = this.#options;
    const shared = newShared(this.#bufferBytes);
    const { fd, reader } = clone;
    const workerData: WorkerSettings = { shared, table, fd, alarm: this.#alarm, reader };
    const startedAt = performance.now();
    const thread = new Worker(script, { workerData });
    clone.thread = thread;
    let failure: unknown;
    let isOver = false;
    thread.on('message', (message: WorkerMessage) => {
      if (!('ended' in message)) return this.#taken(clone, shared, message);
      isOver = true;
      if (message.ended !== '') this.#options.logger.error(`no more requests can be read: ${message.ended}`);
      this.#over();
    });
    thread.on('error', (error: unknown) => {
      failure = error;
    });
    thread.on('exit', () => {
      clone.thread = undefined;
      clone.closeIfDue();
      if (isOver || this.#stopped) return this.#closeAlarm();
      this.#died(clone, failure, performance.now() - startedAt);
      this.#takeUp(clone, shared);
    });
  }

  #taken(clone: Clone, shared: WorkerSettings['shared'], message: Exclude<WorkerMessage, { ended: string }>): void {
    if ('copy' in message) {
      void this.#take(Buffer.from(message.copy.buffer), clone);
      return;
    }
    const { buffer, bytes } = message;
    Atomics.store(shared.states, buffer, BufferState.TAKEN);
    const free = (): void => void Atomics.store(shared.states, buffer, BufferState.FREE);
    const inUse = this.#take(bufferAt(shared, buffer, bytes), clone);
    if (inUse === undefined) free();
    else void inUse.then(free);
  }

  /** Answers what a dead worker had read and not answered. */
  #takeUp(clone: Clone, shared: WorkerSettings['shared']): void {
    for (let i = 0; i < BUFFERS; i++) {
      const bytes = shared.lengths[i] ?? 0;
      const state = shared.states[i];
      if (bytes === 0 || (state !== BufferState.IN_HAND && state !== BufferState.HANDED_OVER)) continue;
      this.#taken(clone, shared, { buffer: i, bytes });
    }
  }

  #died(clone: Clone, failure: unknown, aliveMs: number): void {
    const { logger, fd } = this.#options;
    clone.pauseMs = longerPause(aliveMs > LONG_MS ? 0 : clone.pauseMs, PAUSES);
    logger.error(`a thread that reads for the kernel ended and is started again: ${messageOf(failure)}`);
    if (this.#clones.every(({ thread }) => thread === undefined) && this.#instead === undefined) {
      this.#instead = new DeviceReader(fd, logger);
      this.#instead.start(this.#bufferBytes, this.#take);
      void this.#overWith(this.#instead);
    }
    setTimeout(() => {
      if (this.#stopped) return;
      this.#startThread(clone);
      // It takes one more request.
      const instead = this.#instead;
      this.#instead = undefined;
      instead?.stop();
    }, clone.pauseMs).unref();
  }

  /** The mount may go while the serving thread reads. */
  async #overWith(reader: DeviceReader): Promise<void> {
    await reader.ended;
    if (this.#instead === reader) this.#over();
  }

  #over(): void {
    this.#stopThreads();
    this.#end();
  }

  stop(): void {
    this.#instead?.stop();
    this.#stopThreads();
  }

  #stopThreads(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    writeSync(this.#alarm, Buffer.of(1, 0, 0, 0, 0, 0, 0, 0));
    for (const clone of this.#clones) clone.end();
    this.#closeAlarm();
  }

  #closeAlarm(): void {
    if (!this.#stopped || this.#alarmClosed || this.#clones.some(({ thread }) => thread !== undefined)) return;
    this.#alarmClosed = true;
    closeSync(this.#alarm);
  }
}
