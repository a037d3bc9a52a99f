/** Whether somebody has a file open for writing: fcntl(2), F_SETLEASE. */
import type { CLibrary } from './c-library.ts';
import { EAGAIN, F_GETLEASE, F_RDLCK, F_SETLEASE, F_SETSIG, F_UNLCK, MACHINES } from './lease-numbers.ts';

/** The signal for whoever holds a lease that somebody wants broken: this one is ignored, unlike SIGIO. */
const SIGURG = 23;

export interface WriterCalls {
  /**
   * True if nobody has the file open for writing, or mapped so. `fd` is open for reading only. The kernel grants a lease then,
   * which is given back at once: a writer who comes in between waits for as long. False also where it grants none: to
   * a user who does not own the file.
   */
  readonly hasNoWriter: (fd: number) => boolean;
  /**
   * Does `work` while nobody can write to the file: who wants to waits. `none`: nobody could, from before to after. `busy`: somebody
   * has it open for writing, or came meanwhile. `unknown`: the kernel grants no lease.
   */
  readonly without: (fd: number, work: () => void) => 'none' | 'busy' | 'unknown';
}

export function loadWriterCalls(library: CLibrary): WriterCalls | undefined {
  if (!MACHINES.has(process.arch)) return undefined;
  return library.ability('renamed files are hashed before they are served', ({ koffi, func }) => {
    const fcntl = func('int fcntl(int fd, int command, int value)');
    return {
      hasNoWriter(fd) {
        if (Number(fcntl(fd, F_SETSIG, SIGURG)) < 0 || Number(fcntl(fd, F_SETLEASE, F_RDLCK)) < 0) return false;
        fcntl(fd, F_SETLEASE, F_UNLCK);
        return true;
      },
      without(fd, work) {
        const isSet = Number(fcntl(fd, F_SETSIG, SIGURG)) >= 0;
        const refusal = isSet && Number(fcntl(fd, F_SETLEASE, F_RDLCK)) < 0 ? koffi.errno() : 0;
        try {
          work();
          if (!isSet || (refusal !== 0 && refusal !== EAGAIN)) return 'unknown';
          return refusal === 0 && Number(fcntl(fd, F_GETLEASE, 0)) === F_RDLCK ? 'none' : 'busy';
        } finally {
          if (isSet && refusal === 0) fcntl(fd, F_SETLEASE, F_UNLCK);
        }
      },
    };
  });
}
