/** What speaks FUSE to the kernel. A driver translates, and decides nothing: `vfs/` does. */
import type { Operations } from '../vfs/operations.ts';

export interface MountOptions {
  /** Absolute. A directory, made if absent; refused where something lies in it or is mounted on it. */
  readonly mountPoint: string;
  readonly allowOther: boolean;
  readonly readOnly: boolean;
}

export interface Mount {
  /**
   * Resolves when the mount has gone, whoever removed it. The driver's threads may live on for files that are open
   * elsewhere: end the process with `Libc.exitNow`, since an ordinary exit may crash in them.
   */
  readonly ended: Promise<void>;
  /** Unmounts; open files of other programs keep a mount alive for them only. Repeatable. */
  unmount(): Promise<void>;
}

export interface Driver {
  readonly name: 'fuse-native';
  /** @throws AutotorrentError('MOUNT') with what is missing and how to get it */
  mount(operations: Operations, options: MountOptions): Promise<Mount>;
}
