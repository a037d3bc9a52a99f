/**
 * Tells that a file system was unmounted, also if it is mounted again at once: inotify(7) reports the end of a file system
 * (IN_UNMOUNT). The mount table does not tell: the kernel gives the next mount the id that has become free (seen with Linux 6.18).
 *
 * It keeps no disk from being unmounted. A file system that another mount namespace (a container) has mounted as well
 * goes on living, so nothing is reported of it.
 */
import { closeSync, readSync } from 'node:fs';
import type { CLibrary, LoadedLibrary } from './c-library.ts';
import { inThread, terminated } from './in-thread.ts';
import { parseInotify } from './inotify.ts';

const IN_UNMOUNT = 0x2000;
const IN_ONLYDIR = 0x01000000;
const IN_NONBLOCK = 0o4000;
const IN_CLOEXEC = 0o2000000;
/** An event about the folder itself has 16 bytes. */
const BUFFER_BYTES = 4096;

type Func = ReturnType<LoadedLibrary['func']>;

export class Unmounts {
  /** Readable when `take` has something to give. */
  readonly fd: number;
  readonly #add: Func;

  private constructor(fd: number, add: Func) {
    this.fd = fd;
    this.#add = add;
  }

  /** Undefined without koffi, or if no more can be opened. */
  static open(library: CLibrary): Unmounts | undefined {
    return library.ability('a disk that is mounted again at once is not seen', ({ func }) => {
      const init = func('int inotify_init1(int flags)');
      const add = func('int inotify_add_watch(int fd, const void *path, uint32_t mask)');
      const fd = Number(init(IN_NONBLOCK | IN_CLOEXEC));
      return fd < 0 ? undefined : new Unmounts(fd, add);
    });
  }

  /**
   * Watches the file system that is mounted at a folder, and gives its number: no other one ever has it. Negative if the folder may
   * not be read. Runs in a thread of libuv.
   */
  async add(mountPoint: Buffer): Promise<number> {
    return await inThread(this.#add, this.fd, terminated(mountPoint), IN_UNMOUNT | IN_ONLYDIR);
  }

  /** Does what `add` does, in threads that may wait for a disk. */
  addSync(mountPoint: Buffer): number {
    return Number(this.#add(this.fd, terminated(mountPoint), IN_UNMOUNT | IN_ONLYDIR));
  }

  /** Gives the numbers of file systems that were unmounted since the last call. */
  take(): ReadonlySet<number> {
    const buffer = Buffer.alloc(BUFFER_BYTES);
    const unmounted = new Set<number>();
    for (;;) {
      let length: number;
      try {
        length = readSync(this.fd, buffer);
      } catch {
        return unmounted; // EAGAIN: there is no more
      }
      for (const { watch, mask } of parseInotify(buffer.subarray(0, length))) {
        if ((mask & IN_UNMOUNT) !== 0) unmounted.add(watch);
      }
    }
  }

  close(): void {
    closeSync(this.fd);
  }
}
