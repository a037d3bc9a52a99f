/** Makes one pin in a folder of ours, in a thread that waits for its calls. It is never a copy. */
import { closeSync, constants, fstatSync, lstatSync, openSync, rmSync } from 'node:fs';
import { errnoOf, messageOf } from '../errors.ts';
import type { ShareCalls } from '../native/share.ts';
import type { WriterCalls } from '../native/writers.ts';
import { identityOf, isSameIdentity } from '../source/identity.ts';
import { OWN_FOLDER } from '../source/own-folder.ts';
import { at, NotOurs } from './held.ts';
import { CHANGED, inNewFolder, isStill, type Made, sealed, type Wanted } from './keep-file.ts';
import type { NotKept, PinKind } from './kept-files.ts';

export interface PinCalls extends ShareCalls {
  /** Absent: nobody knows if somebody writes to a file. */
  readonly writers: WriterCalls | undefined;
}

interface Refusal {
  readonly why: NotKept;
  readonly says: string;
}

/** A file of which somebody may change a byte without a trace in its times. */
const BUSY = { kind: 'not kept', why: 'changed', says: 'is open for writing' } as const;

/** Makes it in `pins`, an open folder, in a folder of its own. @throws NotOurs; errors of the disk */
export function makePin(pins: number, wanted: Wanted, kind: PinKind, calls: PinCalls): Made {
  if (!isExactlyStill(wanted)) return CHANGED;
  const make = kind === 'reflink' ? shareIn : linkIn;
  return inNewFolder(pins, wanted, (folder, name) => make(folder, name, wanted, calls));
}

function shareIn(folder: number, name: string, wanted: Wanted, calls: PinCalls): Made {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const to = openSync(at(folder, name), flags, 0o600);
  let made: Made | undefined;
  try {
    let refusal: string | undefined;
    const writers = without(wanted.fd, calls, () => {
      refusal = calls.shareError(wanted.fd, to);
    });
    if (refusal !== undefined) made = { kind: 'not kept', ...refusalOf('reflink', refusal) };
    else if (!isExactlyStill(wanted)) made = CHANGED;
    else if (writers === 'busy') made = BUSY;
    else made = { kind: 'made', name, shared: true, missing: 0, ...sealed(to, wanted, calls) };
    return made;
  } finally {
    closeSync(to);
    if (made?.kind !== 'made') rmSync(at(folder, name), { force: true });
  }
}

function linkIn(folder: number, name: string, wanted: Wanted, calls: PinCalls): Made {
  const path = at(folder, name);
  let made: Made | undefined;
  try {
    let refusal: string | undefined;
    const writers = without(wanted.fd, calls, () => {
      refusal = calls.link(wanted.fd, path);
    });
    if (refusal !== undefined) {
      made = { kind: 'not kept', ...refusalOf('hardlink', refusal) };
      return made;
    }
    const now = identityOf(fstatSync(wanted.fd, { bigint: true }));
    const pin = identityOf(lstatSync(path, { bigint: true }));
    // A link changes the ctime, and nothing else. FUSE may number the two names apart, and remember the old ctime of one.
    if (!isStill(wanted) || now.size !== pin.size || now.mtimeNs !== pin.mtimeNs) made = CHANGED;
    else {
      const identity = { ...pin, ctimeNs: undefined };
      made = {
        kind: 'made',
        name,
        shared: false,
        missing: 0,
        identity,
        bytes: 0,
        original: now,
        unwritten: writers === 'none',
      };
    }
    return made;
  } finally {
    if (made?.kind !== 'made') rmSync(path, { force: true });
  }
}

function without(fd: number, { writers }: PinCalls, work: () => void): ReturnType<WriterCalls['without']> {
  if (writers !== undefined) return writers.without(fd, work);
  work();
  return 'unknown';
}

function isExactlyStill({ fd, identity }: Wanted): boolean {
  return isSameIdentity(identityOf(fstatSync(fd, { bigint: true })), identity);
}

/** Why no pin could be made, of an error of the folders above it. */
export function noPin(kind: PinKind, error: unknown): Refusal {
  if (error instanceof NotOurs) return { why: 'file system', says: `cannot be pinned: ${error.message}` };
  const errno = errnoOf(error);
  switch (errno) {
    case undefined:
      return { why: 'error', says: `cannot be pinned: ${messageOf(error)}` };
    case 'EACCES':
    case 'EPERM':
      return { why: 'file system', says: 'cannot be pinned: we may not write to the top of its disk' };
    case 'ENOTDIR':
    case 'ELOOP':
      return { why: 'file system', says: `cannot be pinned: ${OWN_FOLDER} at the top of its disk is no folder` };
    default:
      return refusalOf(kind, errno);
  }
}

function refusalOf(kind: PinKind, errno: string): Refusal {
  switch (errno) {
    case 'ENOTSUP':
    case 'EOPNOTSUPP':
    case 'ENOTTY':
    case 'ENOSYS':
    case 'EINVAL':
      return {
        why: 'file system',
        says: `cannot be pinned: its file system has no ${kind === 'reflink' ? 'shared extents' : 'hard links'}`,
      };
    case 'EXDEV':
      return { why: 'file system', says: 'cannot be pinned: no folder of ours is on its file system' };
    case 'EROFS':
      return { why: 'file system', says: 'cannot be pinned: its file system is read-only' };
    case 'EMLINK':
      return { why: 'file', says: 'cannot be pinned: it has as many names as its file system allows' };
    case 'EPERM':
    case 'EACCES':
      return { why: 'file', says: 'cannot be pinned: only its owner may do that' };
    case 'ENOSPC':
    case 'EDQUOT':
      return { why: 'room', says: 'cannot be pinned: the disk is full' };
    case 'ENOENT':
      return { why: 'changed', says: 'was deleted' };
    default:
      return { why: 'error', says: `cannot be pinned: ${errno}` };
  }
}
