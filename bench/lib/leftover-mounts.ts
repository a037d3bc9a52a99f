/** Mounts that a server left behind, since it was killed. */
import { mountsAt } from '../../src/fuse/mounting/mount-point.ts';
import { unmount } from '../../src/fuse/mounting/unmount.ts';
import { silentLogger } from '../../src/logger.ts';
import { openCLibrary } from '../../src/native/c-library.ts';
import { loadMountCalls } from '../../src/native/mounting.ts';

/** Unmounts what is mounted at these paths, if anything is. */
export async function unmountLeftovers(paths: Iterable<string>): Promise<void> {
  const calls = loadMountCalls(openCLibrary(silentLogger));
  for (const path of paths) if ((await mountsAt(path)).length > 0) await unmount(path, calls);
}
