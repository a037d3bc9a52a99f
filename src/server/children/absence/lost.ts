/** Tells from the state of a torrent whether its client has lost the mount. */
import type { TorrentState } from '../../../clients/client.ts';
import type { ServedEntry } from '../../../control/served.ts';

/**
 * The torrents to look at besides those that autotorrent stopped itself. `errors`: those that the client holds in
 * error, or takes for incomplete although nothing is missing.
 */
export type Scope = 'none' | 'errors' | 'all';

export type Entries = ReadonlyMap<string, ServedEntry>;

export function hasLost(state: TorrentState, entries: Entries, scope: Scope): boolean {
  const { infoHash, activity, progress } = state;
  if (scope === 'none' || activity === 'stopped') return false;
  if (scope === 'all' || activity === 'error') return true;
  return activity !== 'checking' && progress < 1 && isWhole(infoHash, entries);
}

/** True for a torrent that was written to: the mount may have lost its last writes. */
export function isUnsure({ activity, progress }: TorrentState): boolean {
  return activity === 'error' || activity === 'checking' || progress < 1;
}

/** True if the client has only begun to look at the torrent, or hangs: then its state means nothing. */
export function isUnsettled({ unsettled }: TorrentState): boolean {
  return unsettled === true;
}

/** True if the mount has every byte of the torrent. */
export function isWhole(infoHash: string, entries: Entries): boolean {
  return entries.get(infoHash)?.missingBytes === 0;
}
