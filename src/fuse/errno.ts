/** Translates errors that are thrown below a driver into errno numbers. Nothing else does. */
import { constants } from 'node:os';
import { messageOf, posixErrorOf } from '../errors.ts';
import type { Logger } from '../logger.ts';

/** Gives a negative errno. An error that is no PosixError is our fault or the disk's: it is logged, and becomes EIO. */
export function errnoFor(error: unknown, operation: string, logger: Logger): number {
  const posix = posixErrorOf(error);
  if (posix !== undefined) return -(constants.errno as Readonly<Record<string, number>>)[posix.code]!;
  logger.error(`${operation} failed: ${messageOf(error)}`);
  return -constants.errno.EIO;
}
