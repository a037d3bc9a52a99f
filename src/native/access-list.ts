/** Reads the access control list of a file: getxattr(2). Node has no call for extended attributes. */
import type { CLibrary } from './c-library.ts';
import { inThread, terminated } from './in-thread.ts';

const NAME = 'system.posix_acl_access';
/** koffi refuses more than some hundred calls at a time. More than all disks get turns for (`source/disk-turns.ts`). */
const CALLS_AT_ONCE = 64;

/** Gives the list of the file at `path`, as the kernel has it; undefined if it has none, or none can be read. */
export type ReadAccessList = (path: Buffer) => Promise<Buffer | undefined> | Buffer | undefined;

const LOSS = 'access control lists of sources are not looked at, only their modes';
const PROTOTYPE = 'int64_t getxattr(const void *path, const char *name, void *value, uint64_t size)';

/** The call for threads that may wait for a disk. */
export function loadAccessListCallSync(library: CLibrary): ReadAccessList | undefined {
  return library.ability(LOSS, ({ func }) => {
    const getxattr = func(PROTOTYPE);
    const call = (path: Buffer, value: Buffer | null): number =>
      Number(getxattr(path, NAME, value, value?.length ?? 0));
    return (path) => {
      const name = terminated(path);
      for (;;) {
        // Asked for no bytes, the call gives the length.
        const length = call(name, null);
        if (length <= 0) return undefined;
        const value = Buffer.alloc(length);
        const read = call(name, value);
        // It may have grown meanwhile.
        if (read >= 0) return value.subarray(0, read);
      }
    };
  });
}

export function loadAccessListCall(library: CLibrary): ReadAccessList | undefined {
  return library.ability(LOSS, ({ func }) => {
    const getxattr = func(PROTOTYPE);
    // In a thread: the disk may have to be read.
    const call = async (path: Buffer, value: Buffer | null): Promise<number> =>
      await inThread(getxattr, path, NAME, value, value?.length ?? 0);
    const read = async (path: Buffer): Promise<Buffer | undefined> => {
      for (;;) {
        // Asked for no bytes, the call gives the length.
        const length = await call(path, null);
        if (length <= 0) return undefined;
        const value = Buffer.alloc(length);
        const read = await call(path, value);
        // It may have grown meanwhile.
        if (read >= 0) return value.subarray(0, read);
      }
    };
    const turn = turns(CALLS_AT_ONCE);
    return async (path) => await turn(async () => await read(terminated(path)));
  });
}

/** Runs at most `most` works at a time. */
function turns(most: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (work) => {
    if (running >= most) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running--;
      else next();
    }
  };
}
