/**
 * A procedure that is made of system calls, written once for two ways of running: at once, in threads and commands that have
 * nothing else to do, and in threads of libuv, for the process that serves and must never wait.
 */
import * as fs from 'node:fs';
import { promisify } from 'node:util';

/** One system call, in both ways. */
export interface Step {
  readonly now: () => unknown;
  readonly later: () => Promise<unknown>;
}

/** Yields steps and is given their results; a failure is thrown at the step. */
export type Steps<T> = Generator<Step, T, unknown>;

export function* step<T>(now: () => T, later: () => Promise<T>): Steps<T> {
  return (yield { now, later }) as T;
}

/** Runs a procedure in this thread, which waits for each call. */
export function runNow<T>(steps: Steps<T>): T {
  let next = steps.next();
  while (next.done !== true) {
    let result: unknown;
    try {
      result = next.value.now();
    } catch (error) {
      next = steps.throw(error);
      continue;
    }
    next = steps.next(result);
  }
  return next.value;
}

/** Runs a procedure without ever making this thread wait. */
export async function runLater<T>(steps: Steps<T>): Promise<T> {
  let next = steps.next();
  while (next.done !== true) {
    let result: unknown;
    try {
      result = await next.value.later();
    } catch (error) {
      next = steps.throw(error);
      continue;
    }
    next = steps.next(result);
  }
  return next.value;
}

const later = {
  open: promisify(fs.open),
  fstat: promisify(fs.fstat),
  lstat: promisify(fs.lstat),
  close: promisify(fs.close),
  read: promisify(fs.read),
};

export function open(path: Buffer | string, flags: number): Steps<number> {
  return step(
    () => fs.openSync(path, flags),
    async () => await later.open(path, flags),
  );
}

export function fstat(fd: number): Steps<fs.Stats> {
  return step(
    () => fs.fstatSync(fd),
    async () => await later.fstat(fd),
  );
}

/** With numbers of 64 bits and nanoseconds. */
export function fstatExactly(fd: number): Steps<fs.BigIntStats> {
  return step(
    () => fs.fstatSync(fd, { bigint: true }),
    async () => await later.fstat(fd, { bigint: true }),
  );
}

export function lstat(path: Buffer): Steps<fs.Stats> {
  return step(
    () => fs.lstatSync(path),
    async () => await later.lstat(path),
  );
}

export function close(fd: number): Steps<void> {
  return step(
    () => fs.closeSync(fd),
    async () => await later.close(fd),
  );
}

export function readlink(path: Buffer | string): Steps<Buffer> {
  return step(
    () => fs.readlinkSync(path, { encoding: 'buffer' }),
    async () => await fs.promises.readlink(path, { encoding: 'buffer' }),
  );
}

/** Reads an open file from its start: at most `most` bytes. */
export function readAll(fd: number, most: number): Steps<Buffer> {
  const buffer = Buffer.alloc(most);
  return step(
    () => {
      let end = 0;
      for (let n = -1; n !== 0 && end < most; end += n) n = fs.readSync(fd, buffer, end, most - end, end);
      return buffer.subarray(0, end);
    },
    async () => {
      let end = 0;
      for (let n = -1; n !== 0 && end < most; end += n) {
        n = (await later.read(fd, buffer, end, most - end, end)).bytesRead;
      }
      return buffer.subarray(0, end);
    },
  );
}
