/** Translates errors that are thrown below a driver into errno numbers: the only place that does. */
import { constants } from 'node:os';
import { messageOf, posixErrorOf } from '../errors.ts';
import type { Logger } from '../logger.ts';

/** A negative errno. What is no PosixError is a fault of ours or of the store's disk: it is logged, and EIO. */
export function errnoFor(error: unknown, operation: string, logger: Logger): number {
  const posix = posixErrorOf(error);
  if (posix !== undefined) return -(constants.errno as Readonly<Record<string, number>>)[posix.code]!;
  logger.error(`${operation} failed: ${messageOf(error)}`);
  return -constants.errno.EIO;
}
