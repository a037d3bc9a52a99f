/** What people and their programs do to files, in the system calls that they use. */
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';

/** Moves within a file system, into a folder that is made. */
export function moveTo(path: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  renameSync(path, to);
}

/** As mv(1) does between file systems: copies with the times, then deletes. */
export function moveAcross(path: string, to: string): void {
  copyWithTimes(path, to);
  rmSync(path);
}

export function copyWithTimes(path: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  const { atime, mtime } = statSync(path);
  copyFileSync(path, to);
  utimesSync(to, atime, mtime);
}

/** Writes `bytes` to a new file that takes the place of `path`, as careful programs do. */
export function replace(path: string, bytes: Buffer, mtime?: Date): void {
  const written = `${path}.part`;
  writeFileSync(written, bytes);
  if (mtime !== undefined) utimesSync(written, mtime, mtime);
  renameSync(written, path);
}

export function overwrite(path: string, offset: number, bytes: Buffer): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, bytes, 0, bytes.length, offset);
  closeSync(fd);
}

/** A tag of 333 bytes in the place of one of 100, at the head: all that follows moves by 233 bytes. */
export function retagged(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.alloc(333, 'tag '), bytes.subarray(100)]);
}

export function swapNames(one: string, other: string): void {
  renameSync(one, `${one}.swap`);
  renameSync(other, one);
  renameSync(`${one}.swap`, other);
}
