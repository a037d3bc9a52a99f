/** System calls on the table of descriptors: fcntl(2). */
import { readdirSync } from 'node:fs';
import type { CLibrary } from './c-library.ts';

/** fcntl(2). */
const F_SETFD = 2;
const FD_CLOEXEC = 1;

export interface DescriptorCalls {
  /** Marks all open descriptors FD_CLOEXEC: children get only those that are passed to them explicitly. */
  readonly keepDescriptors?: () => void;
}

export function loadDescriptorCalls(library: CLibrary): DescriptorCalls {
  const keepDescriptors = library.ability('child processes inherit open files', ({ func }) => {
    const fcntl = func('int fcntl(int fd, int command, ...)');
    return (): void => {
      for (const name of readdirSync('/proc/self/fd')) {
        if (Number(name) > 2) fcntl(Number(name), F_SETFD, 'int', FD_CLOEXEC);
      }
    };
  });
  return keepDescriptors === undefined ? {} : { keepDescriptors };
}
