/**
 * inotify(7): being told what other programs do in folders, by names. For kernels without what `fanotify.ts` needs, and for
 * file systems that fanotify refuses. It knows no handles; the two halves of a rename have one cookie.
 */
import type { CLibrary } from './c-library.ts';
import { terminated } from './in-thread.ts';

/** What happened: bits of an event's mask. */
export const IN_MODIFY = 0x2;
export const IN_ATTRIB = 0x4;
export const IN_CLOSE_WRITE = 0x8;
export const IN_MOVED_FROM = 0x40;
export const IN_MOVED_TO = 0x80;
export const IN_CREATE = 0x100;
export const IN_DELETE = 0x200;
export const IN_Q_OVERFLOW = 0x4000;
/** The watch has ended: the folder is gone, its disk was unmounted, or the watch was removed. */
export const IN_IGNORED = 0x8000;
export const IN_ISDIR = 0x40000000;

const IN_ONLYDIR = 0x01000000;
const IN_MASK_ADD = 0x20000000;
const IN_NONBLOCK = 0o4000;
const IN_CLOEXEC = 0o2000000;

/** The result of a call: a number that is not negative, or the negative error number. */
export interface InotifyCalls {
  readonly open: () => number;
  /** Gives the number of the folder's watch; a folder that is watched already keeps its number. */
  readonly watch: (fd: number, path: Buffer, mask: number) => number;
  readonly unwatch: (fd: number, watch: number) => number;
}

export function loadInotifyCalls(library: CLibrary): InotifyCalls | undefined {
  return library.ability('changes of sources are noticed only when they are read', ({ koffi, func }) => {
    const init = func('int inotify_init1(int flags)');
    const add = func('int inotify_add_watch(int fd, const void *path, uint32_t mask)');
    const remove = func('int inotify_rm_watch(int fd, int watch)');
    const result = (value: unknown): number => (Number(value) < 0 ? -koffi.errno() : Number(value));
    return {
      open: () => result(init(IN_NONBLOCK | IN_CLOEXEC)),
      watch: (fd, path, mask) => result(add(fd, terminated(path), (mask | IN_ONLYDIR | IN_MASK_ADD) >>> 0)),
      unwatch: (fd, watch) => result(remove(fd, watch)),
    };
  });
}

export interface InotifyEvent {
  readonly watch: number;
  readonly mask: number;
  /** Pairs IN_MOVED_FROM with IN_MOVED_TO; 0 for other events. */
  readonly cookie: number;
  /** A byte string; empty if it happened to the folder itself. */
  readonly name: string;
}

/** struct inotify_event { int wd; u32 mask, cookie, len; char name[len] }. */
const HEADER = 16;

/** Reads the events that one read(2) gave. */
export function* parseInotify(buffer: Buffer): Generator<InotifyEvent, void, undefined> {
  let at = 0;
  while (at + HEADER <= buffer.length) {
    const end = at + HEADER + buffer.readUInt32LE(at + 12);
    if (end > buffer.length) return;
    const zero = buffer.subarray(0, end).indexOf(0, at + HEADER);
    yield {
      watch: buffer.readInt32LE(at),
      mask: buffer.readUInt32LE(at + 4),
      cookie: buffer.readUInt32LE(at + 8),
      name: buffer.toString('latin1', at + HEADER, zero === -1 ? end : zero),
    };
    at = end;
  }
}
