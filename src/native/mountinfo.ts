/**
 * Reads the mount table, /proc/self/mountinfo (proc_pid_mountinfo(5)), without touching any mount: a stat of a mount that
 * this process serves, or whose server hangs, would hang as well.
 */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

/** The type of our mounts, as `mount` and `findmnt` show it. Scans and sources stay out of them. */
export const OUR_TYPE = 'fuse.autotorrent';

export interface MountedAt {
  /** The kernel's number of the mount, while it is mounted. */
  readonly id: number;
  readonly path: Buffer;
  readonly type: string;
  /** The same number as `Stats.dev`. */
  readonly dev: number;
  readonly source: string;
}

/** Lists all mounts in the order of mounting: of two with one path the later hides the earlier. */
export async function readMounts(): Promise<MountedAt[]> {
  return parseMounts(await readFile('/proc/self/mountinfo'));
}

export function readMountsSync(): MountedAt[] {
  return parseMounts(readFileSync('/proc/self/mountinfo'));
}

export function parseMounts(text: Buffer): MountedAt[] {
  // Paths are bytes. As latin1 each byte is one character.
  return text
    .toString('latin1')
    .split('\n')
    .flatMap((line) => parseLine(line) ?? []);
}

function parseLine(line: string): MountedAt | undefined {
  const [before, after] = line.split(' - ', 2);
  const [id, , device, , path] = before?.split(' ') ?? [];
  const [type, source] = after?.split(' ') ?? [];
  if (device === undefined || path === undefined || type === undefined) return undefined;
  return {
    id: Number(id),
    path: unescape(path),
    type,
    dev: deviceNumber(device),
    source: unescape(source ?? '').toString(),
  };
}

/** Undoes the escapes of the table: space, tab, line feed and backslash are written as `\040` and so on. */
function unescape(text: string): Buffer {
  const plain = text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
  return Buffer.from(plain, 'latin1');
}

/** The number of `major:minor`. */
function deviceNumber(device: string): number {
  const [major = Number.NaN, minor = Number.NaN] = device.split(':', 2).map(Number);
  return deviceOf(major, minor);
}

/** Joins the parts of a device number as makedev(3) does. */
export function deviceOf(major: number, minor: number): number {
  return (
    (minor & 0xff) + (major & 0xfff) * 2 ** 8 + Math.floor(minor / 256) * 2 ** 20 + Math.floor(major / 4096) * 2 ** 44
  );
}

/** The minor number of a device number, as minor(3) gives it. */
export function minorOf(dev: number): number {
  return (dev & 0xff) | ((dev >>> 12) & 0xfff00);
}

/** Tells if `path` is `folder` or lies below it. Both are absolute, without a slash at the end. */
export function isAtOrBelow(path: Buffer, folder: Buffer): boolean {
  if (path.length < folder.length || !path.subarray(0, folder.length).equals(folder)) return false;
  const next = path[folder.length];
  return next === undefined || next === 0x2f || folder.at(-1) === 0x2f;
}
