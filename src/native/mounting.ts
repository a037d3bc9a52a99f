/** System calls on mounts: umount2(2). */
import type { CLibrary } from './c-library.ts';

/** umount2(2). */
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

export interface MountCalls {
  /**
   * Unmounts; `lazy` detaches a mount that is in use. Runs away from the event loop, since it may have to wait for the
   * server that calls it. Gives false where the call failed.
   */
  readonly unmount?: (path: string, lazy: boolean) => Promise<boolean>;
}

export function loadMountCalls(library: CLibrary): MountCalls {
  const unmount = library.ability('mounts are removed with fusermount alone', ({ func }) => {
    const umount2 = func('int umount2(const char *target, int flags)');
    return async (path: string, lazy: boolean): Promise<boolean> => {
      const flags = UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0);
      const result = await new Promise<unknown>((resolve, reject) => {
        umount2.async(path, flags, (error: Error | null, value: unknown) => {
          if (error === null) resolve(value);
          else reject(error);
        });
      });
      return result === 0;
    };
  });
  return unmount === undefined ? {} : { unmount };
}
