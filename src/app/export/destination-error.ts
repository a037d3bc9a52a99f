/** Failures of the destination of an export, apart from those of what it reads. */
import { messageOf } from '../../errors.ts';

/** The destination failed, not the source. `cause` is the error of the disk. */
export class DestinationError extends Error {}

/**
 * Runs a call on the destination. An error names `shown`, since the path of the call is one of /proc.
 * @throws DestinationError
 */
export async function ofDestination<T>(shown: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof DestinationError) throw error;
    throw new DestinationError(`${reasonOf(error)}: ${shown}`, { cause: error });
  }
}

/** Gives `EACCES: permission denied` from Node's `EACCES: permission denied, open '/proc/self/fd/20/name'`. */
export function reasonOf(error: unknown): string {
  const message = messageOf(error);
  return /^E[A-Z0-9]+: [^,]+(?=, )/.exec(message)?.[0] ?? message;
}
