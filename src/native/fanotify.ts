/**
 * fanotify(7): being told what other programs do with files, by file handles and names.
 *
 * A group is a descriptor that is read; a mark says for which folder or file system events are queued. Each event names
 * folders by their handles, which stay the same when a folder is renamed. Since Linux 5.17 a rename is one event with both
 * names and the file's own handle. An ordinary user may mark folders, root whole file systems. Numbers: <linux/fanotify.h>.
 */
import type { CLibrary } from './c-library.ts';
import { terminated } from './in-thread.ts';

/** What happened: bits of an event's mask. */
export const FAN_MODIFY = 0x2;
export const FAN_ATTRIB = 0x4;
export const FAN_CLOSE_WRITE = 0x8;
export const FAN_CREATE = 0x100;
export const FAN_DELETE = 0x200;
export const FAN_MOVE_SELF = 0x800;
export const FAN_Q_OVERFLOW = 0x4000;
export const FAN_RENAME = 0x10000000;
/** The object is a folder; in a mark: events of folders as well. */
export const FAN_ONDIR = 0x40000000;
/** In the mark of a folder: events of what is in it as well. */
export const FAN_EVENT_ON_CHILD = 0x08000000;

const FAN_CLOEXEC = 0x1;
const FAN_NONBLOCK = 0x2;
const FAN_UNLIMITED_QUEUE = 0x10;
const FAN_UNLIMITED_MARKS = 0x20;
/** FAN_REPORT_FID, _DIR_FID, _NAME and _TARGET_FID. The last is the newest: Linux 5.17. */
const FAN_REPORT_DFID_NAME_TARGET = 0x1e00;
const O_RDONLY_LARGE = 0o100000;

const FAN_MARK_ADD = 0x1;
const FAN_MARK_REMOVE = 0x2;
const FAN_MARK_ONLYDIR = 0x8;
const FAN_MARK_FILESYSTEM = 0x100;
const AT_FDCWD = -100;

/** The result of a call: a number that is not negative, or the negative error number. */
export interface FanotifyCalls {
  /** Makes a group that reports names and handles and is read without waiting. `unlimited` needs CAP_SYS_ADMIN. */
  readonly group: (unlimited: boolean) => number;
  readonly markFileSystem: (group: number, path: Buffer, mask: number) => number;
  /** Marks a folder; adds to the mask of a mark that is there. */
  readonly markFolder: (group: number, path: Buffer, mask: number) => number;
  readonly unmarkFolder: (group: number, path: Buffer, mask: number) => number;
}

export function loadFanotifyCalls(library: CLibrary): FanotifyCalls | undefined {
  return library.ability('changes of sources are noticed with inotify, or when they are read', ({ koffi, func }) => {
    const init = func('int fanotify_init(unsigned int flags, unsigned int eventFlags)');
    const mark = func('int fanotify_mark(int group, unsigned int flags, uint64_t mask, int folder, const void *path)');
    const result = (value: unknown): number => (Number(value) < 0 ? -koffi.errno() : Number(value));
    const marked = (group: number, flags: number, mask: number, path: Buffer): number =>
      result(mark(group, flags | FAN_MARK_ONLYDIR, mask, AT_FDCWD, terminated(path)));
    return {
      group(unlimited) {
        const limits = unlimited ? FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS : 0;
        return result(init(FAN_CLOEXEC | FAN_NONBLOCK | FAN_REPORT_DFID_NAME_TARGET | limits, O_RDONLY_LARGE));
      },
      markFileSystem: (group, path, mask) => marked(group, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, mask, path),
      markFolder: (group, path, mask) => marked(group, FAN_MARK_ADD, mask, path),
      unmarkFolder: (group, path, mask) => marked(group, FAN_MARK_REMOVE, mask, path),
    };
  });
}

/** A folder's handle and a name in it. */
export interface NamedPlace {
  /** As `handleKey` makes it. */
  readonly folder: string;
  /** A byte string; `.` is the folder itself. */
  readonly name: string;
}

export interface FanotifyEvent {
  readonly mask: number;
  /** Absent: the kernel named only the file. */
  readonly place?: NamedPlace;
  /** The two names of a rename; one is absent if its folder has no mark. */
  readonly from?: NamedPlace;
  readonly to?: NamedPlace;
  /** The handle of the file or folder that it happened to. */
  readonly object?: string;
}

/** The record types. */
const FID = 1;
const DFID_NAME = 2;
const DFID = 3;
const OLD_DFID_NAME = 10;
const NEW_DFID_NAME = 12;

const METADATA_BYTES = 24;
/** struct fanotify_event_info_header and fsid; then struct file_handle { u32 bytes; s32 type; … }. */
const HANDLE_AT = 12;
const HANDLE_HEADER = 8;

/** A handle as the key of a map: a byte string of its type (4 bytes) and its bytes. */
export function handleKey(type: number, bytes: Buffer): string {
  const whole = Buffer.allocUnsafe(4 + bytes.length);
  whole.writeInt32LE(type, 0);
  bytes.copy(whole, 4);
  return whole.toString('latin1');
}

/** Undoes `handleKey`. */
export function handleOfKey(key: string): { readonly type: number; readonly bytes: Buffer } {
  const whole = Buffer.from(key, 'latin1');
  return { type: whole.readInt32LE(0), bytes: whole.subarray(4) };
}

/** Reads the events that one read(2) of a group gave. What is cut short or of an unknown form is left out. */
export function* parseFanotify(buffer: Buffer): Generator<FanotifyEvent, void, undefined> {
  let at = 0;
  while (at + METADATA_BYTES <= buffer.length) {
    const length = buffer.readUInt32LE(at);
    const metadata = buffer.readUInt16LE(at + 6);
    if (length < METADATA_BYTES || at + length > buffer.length) return;
    yield eventOf(buffer.readUInt32LE(at + 8), buffer.subarray(at + metadata, at + length));
    at += length;
  }
}

function eventOf(mask: number, records: Buffer): FanotifyEvent {
  const event: { -readonly [K in keyof FanotifyEvent]: FanotifyEvent[K] } = { mask };
  let at = 0;
  while (at + 4 <= records.length) {
    const type = records.readUInt8(at);
    const length = records.readUInt16LE(at + 2);
    if (length < 4 || at + length > records.length) break;
    const record = records.subarray(at, at + length);
    at += length;
    if (record.length < HANDLE_AT + HANDLE_HEADER) continue;
    const end = HANDLE_AT + HANDLE_HEADER + record.readUInt32LE(HANDLE_AT);
    if (end > record.length) continue;
    const handle = handleKey(record.readInt32LE(HANDLE_AT + 4), record.subarray(HANDLE_AT + HANDLE_HEADER, end));
    if (type === FID) event.object = handle;
    else if (type === DFID) event.place = { folder: handle, name: '.' };
    else {
      const zero = record.indexOf(0, end);
      const place = { folder: handle, name: record.toString('latin1', end, zero === -1 ? record.length : zero) };
      if (type === DFID_NAME) event.place = place;
      else if (type === OLD_DFID_NAME) event.from = place;
      else if (type === NEW_DFID_NAME) event.to = place;
    }
  }
  return event;
}
