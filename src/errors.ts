/**
 * The two kinds of error that autotorrent throws on purpose.
 *
 * `AutotorrentError` is for people: a stable `code`, one sentence that says what happened and why, and a `hint` that
 * says what to do. `PosixError` is for the kernel: below the FUSE driver code throws the name of an errno, and the
 * driver alone (`fuse/errno.ts`) turns it into a number. Anything else that is thrown is a bug.
 *
 * Expected outcomes ("the client does not have it", "no candidate") are typed return values, never errors.
 */

export type ErrorCode =
  | 'USAGE' // the command line is wrong: exit 2
  | 'CONFIG' // the configuration is missing or invalid: exit 2
  | 'TORRENT' // not a valid .torrent
  | 'INDEX' // the collection index is missing, locked, damaged or of another version
  | 'STORE' // the store's state is locked, damaged or of another version
  | 'MOUNT' // the mount point cannot be used, or FUSE is not available
  | 'SERVER' // the server does not run, or did not answer as expected
  | 'CLIENT' // the torrent client cannot be reached, refused, or answered nonsense
  | 'NOT_FOUND' // no such entry
  | 'CONFLICT' // what is asked for is there already, or is being changed by another command
  | 'EXPORT' // a copy cannot be made: something is missing, there is no room, a file cannot be read or written
  | 'UNSUPPORTED'; // known, and not possible here

export interface ErrorDetails {
  /** Says what to do: one sentence, or a command to type. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

export class AutotorrentError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'AutotorrentError';
    this.code = code;
    this.hint = details.hint;
  }
}

/** The errno names that the file system answers with. `fuse/errno.ts` has a number for each. */
const POSIX_CODES = [
  'EACCES',
  'EBADF',
  'EBUSY',
  'EDQUOT',
  'EEXIST',
  'EFBIG',
  'EILSEQ',
  'EINVAL',
  'EIO',
  'EISDIR',
  'EMLINK',
  'ENAMETOOLONG',
  'ENODATA',
  'ENFILE',
  'ENOENT',
  'ENOSPC',
  'ENOSYS',
  'ENOTDIR',
  'ENOTEMPTY',
  'ENXIO',
  'EOPNOTSUPP',
  'EPERM',
  'ERANGE',
  'EROFS',
  'ESTALE',
  'EXDEV',
] as const;
export type PosixCode = (typeof POSIX_CODES)[number];

export class PosixError extends Error {
  readonly code: PosixCode;

  constructor(code: PosixCode, message: string = code, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'PosixError';
    this.code = code;
  }
}

/** Errors of the disk about a request, which its caller should see. Any other errno of Node's is a fault of ours. */
const OF_THE_DISK = ['ENOSPC', 'EDQUOT', 'EROFS', 'EFBIG'] as const satisfies readonly PosixCode[];

/**
 * Gives the error that a user of the mount sees: a `PosixError`, also one that is the cause of an `AutotorrentError`, and
 * errors of the disk. Undefined for anything else, such as an ENOENT of one of our own files.
 */
export function posixErrorOf(error: unknown): PosixError | undefined {
  if (error instanceof PosixError) return error;
  if (error instanceof AutotorrentError && error.cause instanceof PosixError) return error.cause;
  const code = errnoOf(error);
  const known = OF_THE_DISK.find((name) => name === code);
  return known === undefined ? undefined : new PosixError(known, messageOf(error), error);
}

/** Gives the errno name of an error of Node's own calls (`ENOENT`), or undefined for anything else. */
export function errnoOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** Joins message and hint into one text. */
export function explained({ message, hint }: AutotorrentError): string {
  return hint === undefined ? message : `${message}. ${hint}`;
}

/** Gives the lines of a stack trace, without the message before them, which may have lines of its own. */
export function framesOf(error: unknown): string[] {
  if (!(error instanceof Error)) return [];
  return (error.stack ?? '').split('\n').filter((line) => /^ {4}at /.test(line));
}

/** Gives a message for any thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
