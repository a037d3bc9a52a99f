/** Waiting for descriptors in a thread that has nothing else to do: poll(2), eventfd(2), read(2). */
import type { CLibrary } from './c-library.ts';

const POLLIN = 0x1;
const POLLPRI = 0x2;
const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;
/** struct pollfd { int fd; short events, revents }. */
const POLLFD = 8;

export interface Descriptors {
  readonly readable?: readonly number[];
  readonly urgent?: readonly number[];
}

export interface WaitingCalls {
  /** Makes a descriptor (eventfd(2)) that is readable after 8 bytes were written to it, until they are read. */
  readonly alarm: () => number;
  /**
   * Waits until one of the `readable` descriptors has something to read, or one of the `urgent` ones something urgent: a
   * mount table that changed. (It can be read at any time, so waiting for that would not wait.)
   * Gives those that have; none after `timeoutMs`, or when a signal came.
   */
  readonly wait: (fds: Descriptors, timeoutMs: number) => readonly number[];
  /** Makes a `wait` for the same descriptors again and again: they are to be readable, or to have failed. */
  readonly waiter: (readable: readonly number[]) => (timeoutMs: number) => readonly number[];
  /** Gives the number of bytes read; 0 or less if there are none, or the call failed. The descriptor does not block. */
  readonly read: (fd: number, buffer: Buffer) => number;
}

export function loadWaitingCalls(library: CLibrary): WaitingCalls | undefined {
  return library.ability('changes of sources are noticed only when they are read', ({ func }) => {
    const eventfd = func('int eventfd(unsigned int value, int flags)');
    const poll = func('int poll(void *fds, unsigned long count, int timeout)');
    const read = func('int64_t read(int fd, void *buffer, size_t size)');
    return {
      alarm() {
        const fd = Number(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        if (fd < 0) throw new Error('eventfd failed');
        return fd;
      },
      wait({ readable = [], urgent = [] }, timeoutMs) {
        const fds = [...readable, ...urgent];
        const entries = Buffer.alloc(fds.length * POLLFD);
        for (const [i, fd] of fds.entries()) {
          entries.writeInt32LE(fd, i * POLLFD);
          entries.writeInt16LE(i < readable.length ? POLLIN : POLLPRI, i * POLLFD + 4);
        }
        if (Number(poll(entries, fds.length, timeoutMs)) <= 0) return [];
        return fds.filter((_, i) => entries.readInt16LE(i * POLLFD + 6) !== 0);
      },
      waiter(readable) {
        const entries = Buffer.alloc(readable.length * POLLFD);
        for (const [i, fd] of readable.entries()) {
          entries.writeInt32LE(fd, i * POLLFD);
          entries.writeInt16LE(POLLIN, i * POLLFD + 4);
        }
        return (timeoutMs) => {
          if (Number(poll(entries, readable.length, timeoutMs)) <= 0) return [];
          return readable.filter((_, i) => entries.readInt16LE(i * POLLFD + 6) !== 0);
        };
      },
      read: (fd, buffer) => Number(read(fd, buffer, buffer.length)),
    };
  });
}
