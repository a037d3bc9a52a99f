/**
 * Copies one file so that a killed copy can go on. A copy with the size and mtime of its source is finished: the mtime is set
 * last. Any other copy is compared with the source from the start, and continues where they differ: bytes that a kill or a
 * power loss left must agree one by one.
 */
import { constants } from 'node:fs';
import { type FileHandle, lstat, open } from 'node:fs/promises';
import type { FileCalls } from '../../native/files.ts';
import { fromNanoseconds } from '../../native/timestamp.ts';
import { ofDestination } from './destination-error.ts';
import { type Place, shownPlace } from './place.ts';
import { findTarget, openTarget } from './target-file.ts';

const CHUNK_BYTES = 2 ** 20;
/** Without nanosecond calls, times pass through doubles; their error is smaller than this. */
const SAME_TIME_NS = 2000n;
/** Larger files are synced when they are copied, so that a later power loss does not cost them; small ones at the end. */
export const LARGE_BYTES = 4 * 2 ** 20;

export interface Copy {
  /** The source. Errors of reading it are thrown unchanged. */
  readonly from: Place;
  readonly to: Place;
  /** Bytes of the finished copy. If the source is shorter, the rest are zeros. */
  readonly length: number;
  /** Bits that the mode of the copy does not get. */
  readonly umask: number;
  readonly libc: FileCalls;
  readonly signal: AbortSignal;
  /** Reports that the copy has this many bytes more (negative: fewer). `fresh`: this call copied them. */
  readonly onBytes: (bytes: number, fresh: boolean) => void;
}

/** `changed`: somebody wrote to the source, or replaced it, during the copy. */
export type CopyOutcome = 'copied' | 'finished before' | 'changed';

/** Copies. Throws DestinationError for errors of the destination, and errors of the source unchanged. */
export async function copyFile(request: Copy): Promise<CopyOutcome> {
  const counted = { fresh: 0, kept: 0 };
  const onBytes = (bytes: number, fresh: boolean): void => {
    counted[fresh ? 'fresh' : 'kept'] += bytes;
    request.onBytes(bytes, fresh);
  };
  const outcome = await copyOnce({ ...request, onBytes });
  if (outcome === 'changed') {
    // The copy is made anew: no byte counted so far is certain to be in it.
    request.onBytes(-counted.fresh, true);
    request.onBytes(-counted.kept, false);
  }
  return outcome;
}

async function copyOnce(copy: Copy): Promise<CopyOutcome> {
  const from = copy.from.folder.atAny(copy.from.name);
  const shown = shownPlace(copy.to);
  const before = await lstat(from, { bigint: true });
  const there = await ofDestination(shown, async () => await findTarget(copy.to));
  if (there !== undefined && there.size === BigInt(copy.length) && isSameTime(there.mtimeNs, before.mtimeNs)) {
    copy.onBytes(copy.length, false);
    return 'finished before';
  }
  const source = await open(from, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const opened = await source.stat({ bigint: true });
    if (opened.dev !== before.dev || opened.ino !== before.ino || !opened.isFile()) return 'changed';
    const target = await ofDestination(shown, async () => await openTarget(copy.to, there));
    try {
      const end = Math.min(Number(before.size), copy.length);
      const agreed = await agreeing(copy, source, target, Math.min(Number(there?.size ?? 0n), end));
      await ofDestination(shown, async () => await target.truncate(agreed));
      if (!(await pump(copy, source, target, agreed, end))) return 'changed';
      await ofDestination(shown, async () => {
        // Bytes that the source lacks become a hole: zeros that take no room.
        await target.truncate(copy.length);
        copy.onBytes(copy.length - end, true);
        if (copy.length >= LARGE_BYTES) await target.datasync();
      });
      const after = await lstat(from, { bigint: true });
      if (after.ino !== before.ino || after.mtimeNs !== before.mtimeNs || after.size !== before.size) return 'changed';
      await ofDestination(shown, async () => {
        // Set-user-ID and the like are dropped: the mount does not honour them either (nosuid).
        await target.chmod(Number(before.mode) & 0o777 & ~copy.umask);
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

function isSameTime(a: bigint, b: bigint): boolean {
  const difference = a > b ? a - b : b - a;
  return difference < SAME_TIME_NS;
}

async function setMtime({ to, libc }: Copy, target: FileHandle, mtimeNs: bigint): Promise<void> {
  const mtime = fromNanoseconds(mtimeNs);
  if (libc.setTimes?.(to.folder.at(to.name), mtime, mtime) === true) return;
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
      ofDestination(shownPlace(copy.to), async () => await readFully(target, b, length, at)),
    ]);
    if (got !== length || had !== length || a.compare(b, 0, length, 0, length) !== 0) return at;
    at += length;
    copy.onBytes(length, false);
  }
  return end;
}

/** Copies up to `end`; false if the source ends before. Reads the next bytes while it writes the ones before them. */
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
      // The write is awaited first, so this rejection needs a handler.
      reading.catch(() => {});
    }
    const [chunk, position] = [current, at];
    await ofDestination(shownPlace(copy.to), async () => await writeFully(target, chunk, length, position));
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
