/** Looks at files that may hold a source's bytes, and grades how much a look proves. */
import { closeSync } from 'node:fs';
import type { Source } from '../match/look.ts';
import { differenceOf, type FileHandle } from '../source/identity.ts';
import { lookAtSource, openSource, openSourceAsIs } from '../source/open-source.ts';
import type { SourceAccess } from '../source/source-access.ts';
import type { HealRecord, Now } from './case.ts';

/** What the kernel knows of disks and handles (`source/placing.ts`). */
export interface DiskTools {
  /** Tells where the file at a path lies. */
  readonly placeOf: (path: Buffer, dev: number) => Pick<Now, 'handle' | 'disk'>;
  /** Finds the path of a handle's file, for a process that may. */
  readonly pathOfHandle: (handle: FileHandle, folderOnSameDisk: Buffer) => Promise<Buffer | undefined>;
  /** Mount points by disk. */
  readonly disksMounted: () => Promise<ReadonlyMap<string, readonly Buffer[]>>;
}

/** A regular file, below a disk, as it is now. */
export interface Seen extends Now {
  readonly handle?: FileHandle;
}

/**
 * How a file resembles a record. `same`: it is the file, unchanged: size, mtime and ctime agree, and the inode or the handle.
 * (Files that were unpacked within one tick of the clock may have all times in common.)
 * `inode`: it is the file, and only its ctime differs. `times`: size and mtime agree. `size`: only the size does.
 */
export type Grade = 'same' | 'inode' | 'times' | 'size' | 'other';

export class Sight {
  readonly access: SourceAccess;
  readonly disks: DiskTools;

  constructor(access: SourceAccess, disks: DiskTools) {
    this.access = access;
    this.disks = disks;
  }

  /** Tells if a path leads to a regular file that may be a source. An advice. */
  isThere(path: Buffer): boolean {
    return lookAtSource({ path }, this.access).state === 'as recorded';
  }

  /** Undefined if there is no regular file that may be a source. @throws EMFILE and ENFILE */
  async look(path: Buffer): Promise<Seen | undefined> {
    const opened = await openSourceAsIs(path, this.access);
    if (opened.state !== 'as recorded') return undefined;
    closeSync(opened.fd);
    const { identity } = opened;
    return { path, ...identity, ...this.disks.placeOf(path, identity.dev) };
  }

  /** Tells if a record's path leads to the file as it was recorded. @throws EMFILE and ENFILE */
  async isAsRecorded({ path, size, mtimeNs, ctimeNs, ino }: HealRecord): Promise<boolean> {
    const opened = await openSource({ path, recorded: { size, mtimeNs, ctimeNs, ino } }, this.access);
    if (opened.state !== 'as recorded') return false;
    closeSync(opened.fd);
    return true;
  }
}

/** A file as the means of the hash modes take it. */
export function sourceOf(seen: Seen): Source {
  const { dev, ino, size, mtimeNs, ctimeNs } = seen;
  return { path: seen.path, identity: { dev, ino, size, mtimeNs, ctimeNs }, inode: `${dev}:${ino}` };
}

/** Tells how much a file has in common with a record. */
export function gradeOf(record: HealRecord, seen: Seen): Grade {
  if (record.size !== seen.size) return 'other';
  const { size, mtimeNs, ctimeNs } = record;
  const why = differenceOf({ size, mtimeNs, ctimeNs }, seen);
  if (why !== undefined && why.code !== 'ctime') return 'size';
  const unchanged = why === undefined && ctimeNs !== undefined;
  // Inode numbers of two disks may agree by chance.
  const sameDisk = record.disk === undefined ? record.dev === seen.dev : record.disk === seen.disk;
  const isFile = sameDisk && (isSameHandle(record, seen) || Number(record.ino) === Number(seen.ino));
  if (!isFile) return 'times';
  return unchanged ? 'same' : 'inode';
}

/** Tells if two handles name one file. Those of different disks do not. */
export function isSameHandle(
  record: Pick<HealRecord, 'handle' | 'disk'>,
  seen: Pick<Seen, 'handle' | 'disk'>,
): boolean {
  const [a, b] = [record.handle, seen.handle];
  if (a === undefined || b === undefined || record.disk !== seen.disk) return false;
  return a.type === b.type && a.bytes.equals(b.bytes);
}
