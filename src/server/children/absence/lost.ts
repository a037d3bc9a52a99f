/** Tells from the state of a torrent whether its client has lost the mount. */
import type { TorrentState } from '../../../clients/client.ts';
import type { ServedEntry } from '../../../control/served.ts';

/**
 * The torrents to look at beside those that autotorrent stopped itself. `errors`: those that the client holds in error, or
 * takes to be incomplete although nothing is missing.
 */
export type Scope = 'none' | 'errors' | 'all';

export type Entries = ReadonlyMap<string, ServedEntry>;

export function hasLost(state: TorrentState, entries: Entries, scope: Scope): boolean {
  const { infoHash, activity, progress } = state;
  if (scope === 'none' || activity === 'stopped') return false;
  if (scope === 'all' || activity === 'error') return true;
  return activity !== 'checking' && progress < 1 && isWhole(infoHash, entries);
}

/** True for a torrent that was written to: the mount may have lost the writes of its last moments. */
export function isUnsure({ activity, progress }: TorrentState): boolean {
  return activity === 'error' || activity === 'checking' || progress < 1;
}

/** The client has only begun to look at it, or hangs: its state says nothing. */
export function isUnsettled({ unsettled }: TorrentState): boolean {
  return unsettled === true;
}

/** Nothing of it is missing in the mount. */
export function isWhole(infoHash: string, entries: Entries): boolean {
  return entries.get(infoHash)?.missingBytes === 0;
}
