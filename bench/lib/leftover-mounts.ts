/** Removes mounts that a killed server left. */
import { mountsAt } from '../../src/fuse/mounting/mount-point.ts';
import { unmount } from '../../src/fuse/mounting/unmount.ts';
import { silentLogger } from '../../src/logger.ts';
import { openCLibrary } from '../../src/native/c-library.ts';
import { loadMountCalls } from '../../src/native/mounting.ts';

/** Unmounts everything that is mounted at these paths. */
export async function unmountLeftovers(paths: Iterable<string>): Promise<void> {
  const calls = loadMountCalls(openCLibrary(silentLogger));
  for (const path of paths) if ((await mountsAt(path)).length > 0) await unmount(path, calls);
}
