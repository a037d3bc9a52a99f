/** Looks at the disks of the configuration: which are there, and which file systems lie at and below each. */
import { realpath } from 'node:fs/promises';
import type { Config } from '../../config/config.ts';
import { errnoOf } from '../../errors.ts';
import { isAtOrBelow } from '../../native/mountinfo.ts';
import type { DiskNow } from '../../server/settling/index-renewal.ts';
import type { FileSystems } from '../../source/file-system.ts';
import type { ReleasedFolders } from '../../source/released-folders.ts';

export interface DisksSeen {
  readonly disks: readonly DiskNow[];
  /** Those of which no folder is there, or that are released. */
  readonly missing: readonly string[];
}

export interface DiskLooks {
  readonly fileSystems: Pick<FileSystems, 'diskOf' | 'disksMounted'>;
  readonly released: ReleasedFolders;
}

export async function lookAtDisks(
  { disks: paths }: Pick<Config, 'disks'>,
  { fileSystems, released }: DiskLooks,
): Promise<DisksSeen> {
  const mounted = await fileSystems.disksMounted();
  const disks: DiskNow[] = [];
  const missing: string[] = [];
  for (const path of paths) {
    const real = released.holds(Buffer.from(path)) ? undefined : await realOf(path);
    if (real === undefined || released.holds(real)) {
      missing.push(path);
      continue;
    }
    const holding = await fileSystems.diskOf(real);
    const below = [...mounted].flatMap(([disk, places]) =>
      places.some((place) => isAtOrBelow(place, real)) ? [disk] : [],
    );
    disks.push({ path, fileSystems: [...new Set(holding === undefined ? below : [holding, ...below])] });
  }
  return { disks, missing };
}

async function realOf(path: string): Promise<Buffer | undefined> {
  try {
    return await realpath(path, { encoding: 'buffer' });
  } catch (error) {
    // It is there, but this user may not see it.
    return errnoOf(error) === 'EACCES' ? Buffer.from(path) : undefined;
  }
}
