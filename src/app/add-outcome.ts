/** The outcome of `add` for a torrent. */
import type { IncompleteFiles } from './incomplete-files.ts';
import type { ReadTorrent } from './torrent-files.ts';

export type AddWord = 'OK' | 'Missing' | 'Seeded' | 'Exists' | 'Failed';

export interface AddOutcome {
  /** The .torrent's path. */
  readonly torrent: string;
  readonly name: string;
  readonly status: AddWord;
  /** One sentence. */
  readonly reason: string;
  readonly infoHash?: string;
  /** Bytes, pads left out; absent if the torrent was not matched. */
  readonly foundBytes?: number;
  readonly missingBytes?: number;
  /** Says which files have a candidate that no piece proves, if there are any. */
  readonly unproven?: string;
  /** Absent if the torrent was not matched, or all files are complete. */
  readonly incomplete?: IncompleteFiles;
  /** A clause that says what may find more of a torrent that is `Missing`, if anything is known to. */
  readonly advice?: string;
}

export function outcomeOf(torrent: ReadTorrent, status: AddWord, reason: string): AddOutcome {
  return {
    torrent: torrent.path,
    name: torrent.name,
    status,
    reason,
    ...(torrent.error === undefined ? { infoHash: torrent.metainfo.infoHash } : {}),
  };
}
