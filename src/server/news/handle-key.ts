import { handleKey } from '../../native/fanotify.ts';
import type { FileHandle } from '../../source/identity.ts';

/** A recorded handle in the form in which the watch reports handles. */
export function handleKeyOf({ type, bytes }: FileHandle): string {
  return handleKey(type, bytes);
}
