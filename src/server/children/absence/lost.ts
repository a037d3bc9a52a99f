/** What the state of a torrent tells of the mount that its client has lost. */
import type { TorrentState } from '../../../clients/client.ts';
import type { ServedEntry } from '../../../control/served.ts';

/**
 * What is looked at beside the torrents that autotorrent has stopped itself. `errors`: what the client holds in error, or
 * takes to be incomplete where nothing is missing.
 */
export type Scope = 'none' | 'errors' | 'all';

export type Entries = ReadonlyMap<string, ServedEntry>;

export function hasLost(state: TorrentState, entries: Entries, scope: Scope): boolean {
  const { infoHash, activity, progress } = state;
  if (scope === 'none' || activity === 'stopped') return false;
  if (scope === 'all' || activity === 'error') return true;
  return activity !== 'checking' && progress < 1 && isWhole(infoHash, entries);
}

/** Of what was written in its last moments the mount may have lost some; what is complete was not written to. */
export function isUnsure({ activity, progress }: TorrentState): boolean {
  return activity === 'error' || activity === 'checking' || progress < 1;
}

/** The client has only begun to look at it, or hangs there: what it says of it tells nothing. */
export function isUnsettled({ unsettled }: TorrentState): boolean {
  return unsettled === true;
}

/** Nothing of it is missing in the mount. */
export function isWhole(infoHash: string, entries: Entries): boolean {
  return entries.get(infoHash)?.missingBytes === 0;
}
