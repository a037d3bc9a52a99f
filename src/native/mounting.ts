/** System calls on mounts: umount2(2). */
import type { CLibrary } from './c-library.ts';
import { inThread } from './in-thread.ts';

/** umount2(2). */
const MNT_FORCE = 1;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

export interface MountCalls {
  /**
   * Unmounts; `lazy` detaches a mount that is in use. Runs away from the event loop, since it may have to wait for the
   * server that calls it. Gives false where the call failed.
   */
  readonly unmount?: (path: string, lazy: boolean) => Promise<boolean>;
  /**
   * Unmounts a FUSE mount after ending its connection (MNT_FORCE): requests under way fail, whoever serves it reads ENODEV. Gives
   * false where the mount stays, since files are open. The connection has ended then, too.
   */
  readonly abort?: (path: string) => Promise<boolean>;
}

export function loadMountCalls(library: CLibrary): MountCalls {
  const calls = library.ability('mounts are removed with fusermount alone', ({ func }) => {
    const umount2 = func('int umount2(const char *target, int flags)');
    const call = async (path: string, flags: number): Promise<boolean> =>
      (await inThread(umount2, path, flags | UMOUNT_NOFOLLOW)) === 0;
    return {
      unmount: async (path: string, lazy: boolean) => await call(path, lazy ? MNT_DETACH : 0),
      abort: async (path: string) => await call(path, MNT_FORCE),
    };
  });
  return calls ?? {};
}
