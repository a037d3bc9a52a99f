/**
 * Copies one file so that it can go on after it was killed. A file that has the size and the mtime of what it was copied
 * from is finished: the mtime is set last. Any other is compared with the source from its beginning on, and goes on
 * where the two differ: what a kill or a power loss left of it must agree byte for byte.
 */
import { constants } from 'node:fs';
import { chmod, type FileHandle, lstat, open } from 'node:fs/promises';
import type { FileCalls } from '../../native/files.ts';
import { fromNanoseconds } from '../../native/timestamp.ts';

const CHUNK_BYTES = 2 ** 20;
/** Without nanoseconds of our own, times go through doubles: they are off by less. */
const SAME_TIME_NS = 2000n;
/** Larger ones are synced when they are copied, so that a power loss later does not cost them; small ones at the end. */
export const LARGE_BYTES = 4 * 2 ** 20;

export interface Copy {
  /** Read with `from`'s errors as they are. */
  readonly from: string;
  readonly to: string;
  /** Bytes the copy has. Where the source is shorter, the rest are zeros. */
  readonly length: number;
  readonly libc: FileCalls;
  readonly signal: AbortSignal;
  /** So many bytes more are in the copy; negative: as many fewer. `fresh`: they were copied by this call. */
  readonly onBytes: (bytes: number, fresh: boolean) => void;
}

/** `changed`: somebody wrote to the source meanwhile. */
export type CopyOutcome = 'copied' | 'finished before' | 'changed';

/** A failure of the destination, not of the source. */
export class DestinationError extends Error {}

/** Throws DestinationError for what the destination says, and what the source says as it is. */
export async function copyFile(request: Copy): Promise<CopyOutcome> {
  const counted = { fresh: 0, kept: 0 };
  const onBytes = (bytes: number, fresh: boolean): void => {
    counted[fresh ? 'fresh' : 'kept'] += bytes;
    request.onBytes(bytes, fresh);
  };
  const outcome = await copyOnce({ ...request, onBytes });
  if (outcome === 'changed') {
    // The copy is made anew: nothing of what was counted is in it for certain.
    request.onBytes(-counted.fresh, true);
    request.onBytes(-counted.kept, false);
  }
  return outcome;
}

async function copyOnce(copy: Copy): Promise<CopyOutcome> {
  const before = await lstat(copy.from, { bigint: true });
  const there = await ofDestination(async () => await statOrUndefined(copy.to));
  if (there !== undefined && !there.isFile()) {
    throw new DestinationError(`${copy.to} is no file`);
  }
  if (there !== undefined && there.size === BigInt(copy.length) && isSameTime(there.mtimeNs, before.mtimeNs)) {
    copy.onBytes(copy.length, false);
    return 'finished before';
  }
  const source = await open(copy.from, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const target = await ofDestination(async () => await openTarget(copy.to));
    try {
      const end = Math.min(Number(before.size), copy.length);
      const from = await agreeing(copy, source, target, Math.min(Number(there?.size ?? 0n), end));
      await ofDestination(async () => await target.truncate(from));
      if (!(await pump(copy, source, target, from, end))) return 'changed';
      await ofDestination(async () => {
        // What the source does not have is a hole: zeros that take no room.
        await target.truncate(copy.length);
        copy.onBytes(copy.length - end, true);
        if (copy.length >= LARGE_BYTES) await target.datasync();
      });
      const after = await lstat(copy.from, { bigint: true });
      if (after.mtimeNs !== before.mtimeNs || after.size !== before.size) return 'changed';
      await ofDestination(async () => {
        // Set-user-ID and the like are not kept: the mount does not honour them either (nosuid).
        await target.chmod(Number(before.mode) & 0o777);
        await setMtime(copy, target, before.mtimeNs);
      });
      return 'copied';
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

async function statOrUndefined(path: string): Promise<Awaited<ReturnType<typeof bigStat>> | undefined> {
  try {
    return await bigStat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

const bigStat = async (path: string) => await lstat(path, { bigint: true });

function isSameTime(a: bigint, b: bigint): boolean {
  const difference = a > b ? a - b : b - a;
  return difference < SAME_TIME_NS;
}

async function openTarget(path: string): Promise<FileHandle> {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
  try {
    return await open(path, flags, 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
    // It was finished, with a mode that lets nobody write to it, and the source is another one now.
    await chmod(path, 0o600);
    return await open(path, flags, 0o600);
  }
}

async function setMtime({ to, libc }: Copy, target: FileHandle, mtimeNs: bigint): Promise<void> {
  const mtime = fromNanoseconds(mtimeNs);
  if (libc.setTimes?.(to, mtime, mtime) === true) return;
  const seconds = Number(mtimeNs) / 1e9;
  await target.utimes(seconds, seconds);
}

/** Counts the bytes at the beginning of a partial copy that agree with the source. */
async function agreeing(copy: Copy, source: FileHandle, target: FileHandle, end: number): Promise<number> {
  const [a, b] = [Buffer.allocUnsafe(Math.min(CHUNK_BYTES, end)), Buffer.allocUnsafe(Math.min(CHUNK_BYTES, end))];
  for (let at = 0; at < end; ) {
    copy.signal.throwIfAborted();
    const length = Math.min(CHUNK_BYTES, end - at);
    const [got, had] = await Promise.all([
      readFully(source, a, length, at),
      ofDestination(async () => await readFully(target, b, length, at)),
    ]);
    if (got !== length || had !== length || a.compare(b, 0, length, 0, length) !== 0) return at;
    at += length;
    copy.onBytes(length, false);
  }
  return end;
}

/** False where the source ends before `end`. The next bytes are read while those before them are written. */
async function pump(copy: Copy, source: FileHandle, target: FileHandle, from: number, end: number): Promise<boolean> {
  const size = Math.min(CHUNK_BYTES, end - from);
  let [current, next] = [Buffer.allocUnsafe(size), Buffer.allocUnsafe(end - from > size ? size : 0)];
  let reading = readFully(source, current, size, from);
  for (let at = from; at < end; ) {
    copy.signal.throwIfAborted();
    const length = Math.min(size, end - at);
    if ((await reading) !== length) return false;
    const then = at + length;
    if (then < end) {
      reading = readFully(source, next, Math.min(size, end - then), then);
      // Whoever waits for the write first must not miss it.
      reading.catch(() => {});
    }
    const [chunk, position] = [current, at];
    await ofDestination(async () => await writeFully(target, chunk, length, position));
    copy.onBytes(length, true);
    [current, next] = [next, current];
    at = then;
  }
  return true;
}

async function readFully(file: FileHandle, buffer: Buffer, length: number, position: number): Promise<number> {
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file.read(buffer, done, length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

async function writeFully(file: FileHandle, buffer: Buffer, length: number, position: number): Promise<void> {
  for (let done = 0; done < length; ) {
    const { bytesWritten } = await file.write(buffer, done, length - done, position + done);
    done += bytesWritten;
  }
}

export async function ofDestination<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof DestinationError) throw error;
    throw new DestinationError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}
