/** Looks at the disks of the configuration: which are there, and which file systems lie at and below each. */
import { realpath } from 'node:fs/promises';
import type { Config } from '../../config/config.ts';
import { errnoOf } from '../../errors.ts';
import { isAtOrBelow } from '../../native/mountinfo.ts';
import type { DiskNow } from '../../server/settling/index-renewal.ts';
import type { FileSystems } from '../../source/file-system.ts';

export interface DisksSeen {
  readonly disks: readonly DiskNow[];
  /** Those of which no folder is there. */
  readonly missing: readonly string[];
}

export async function lookAtDisks(
  { disks: paths }: Pick<Config, 'disks'>,
  fileSystems: Pick<FileSystems, 'diskOf' | 'disksMounted'>,
): Promise<DisksSeen> {
  const mounted = await fileSystems.disksMounted();
  const disks: DiskNow[] = [];
  const missing: string[] = [];
  for (const path of paths) {
    const real = await realOf(path);
    if (real === undefined) {
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
