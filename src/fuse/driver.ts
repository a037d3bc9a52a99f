/** The interface of a driver, which speaks FUSE to the kernel. It translates; `vfs/` decides. */
import type { AutotorrentError } from '../errors.ts';
import type { Operations } from '../vfs/operations.ts';

export interface MountOptions {
  /** Absolute. `mount` makes the directory if it is missing, and refuses one that is not empty or has a mount on it. */
  readonly mountPoint: string;
  readonly allowOther: boolean;
  readonly readOnly: boolean;
}

export interface Mount {
  /**
   * Resolves when the mount has gone, whoever removed it. The driver's threads may live on for files that are open
   * elsewhere: end the process with `ProcessCalls.exitNow`, since an ordinary exit may crash in them.
   */
  readonly ended: Promise<void>;
  /** Files and folders that the kernel knows, and may ask for without a path. Undefined where the driver cannot tell. */
  readonly known?: number | undefined;
  /** Says for `status` what the driver makes use of here, in a few words. Undefined: there is nothing to say. */
  describe(): string | undefined;
  /** Unmounts. Calls of programs with open files fail then. May be called again. */
  unmount(): Promise<void>;
}

export interface Driver {
  readonly name: 'fuse-native' | 'kernel';
  /**
   * Tells why this driver cannot run in this process, by what is not installed or not there; undefined if it may. `auto` takes
   * another one then. What stops every driver (no /dev/fuse) is left to `mount`.
   */
  unusable(): AutotorrentError | undefined;
  /** @throws AutotorrentError('MOUNT') with what is missing and how to get it */
  mount(operations: Operations, options: MountOptions): Promise<Mount>;
}

/** The part of a mount's life that differs between drivers; `mounting/life-cycle.ts` has the shared part. */
export interface Session {
  /**
   * Mounts on an empty directory, and begins to answer. `directory`: its descriptor, while this is under way.
   * @throws AutotorrentError('MOUNT')
   */
  start(mountPoint: string, directory: number): Promise<void>;
  readonly known?: number | undefined;
  /** See `Mount.describe`. */
  describe?(): string | undefined;
  /** Resolves when the kernel asks for nothing more, also while the mount is there still. Absent where the driver cannot tell. */
  readonly ended?: Promise<void> | undefined;
  /** Frees what answered requests. Called after the mount has gone, whoever removed it. */
  end(): Promise<void>;
}
