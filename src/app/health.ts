/** Says the health of an entry in a few words. */
import type { ServedEntry } from '../control/served.ts';
import { bytes, fileCount } from './quantities.ts';

/** Disks that are named. */
const SHOWN_DISKS = 2;

/** `ok`, `checking`, `healing 3 of 12`, `waiting for /mnt/disk2`, `lost 4.0 MB, downloading`, `broken: …` `3 files deleted` or `overwritten`. */
export function healthText({ health, healthDetail }: Pick<ServedEntry, 'health' | 'healthDetail'>): string {
  const detail = healthDetail ?? {};
  const { sources = 0, ofSources = 0, disks = [], lostBytes = 0, downloading = false, reason } = detail;
  switch (health) {
    case 'healing':
      return `healing ${sources} of ${ofSources}`;
    case 'waiting': {
      const rest = disks.length - SHOWN_DISKS;
      return `waiting for ${disks.slice(0, SHOWN_DISKS).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
    }
    case 'lost':
      return `lost ${bytes(lostBytes)}${downloading ? ', downloading' : ''}`;
    case 'deleted':
      return `${fileCount(detail.deletedFiles ?? 0)} deleted`;
    case 'overwritten':
      return `${fileCount(detail.overwrittenFiles ?? 0)} overwritten`;
    case 'broken':
      return reason === undefined ? 'broken' : `broken: ${reason}`;
    default:
      return health;
  }
}
