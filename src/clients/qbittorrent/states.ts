/** Reads a torrent's state from the fields of qBittorrent's `torrents/info`. */
import { withoutSlash } from '../adding/directory.ts';
import type { TorrentActivity, TorrentState } from '../client.ts';
import { quoted } from '../wire/exchange.ts';

/** A torrent as `torrents/info` shows it; every field is still to be checked. */
export type Torrent = Record<string, unknown>;

/** `state` of a torrent; those of 5.x beside those of 4.x. */
const ACTIVITIES: ReadonlyMap<string, TorrentActivity> = new Map(
  Object.entries({
    error: 'error',
    missingFiles: 'error',
    unknown: 'error',
    uploading: 'seeding',
    stalledUP: 'seeding',
    forcedUP: 'seeding',
    pausedUP: 'stopped',
    pausedDL: 'stopped',
    stoppedUP: 'stopped',
    stoppedDL: 'stopped',
    queuedUP: 'queued',
    queuedDL: 'queued',
    moving: 'queued',
    checkingUP: 'checking',
    checkingDL: 'checking',
    checkingResumeData: 'checking',
    downloading: 'downloading',
    stalledDL: 'downloading',
    forcedDL: 'downloading',
    metaDL: 'downloading',
    forcedMetaDL: 'downloading',
    allocating: 'downloading',
  } satisfies Record<string, TorrentActivity>),
);
const MESSAGES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    error: 'an error, of which its log says more',
    missingFiles: 'its files are missing',
    unknown: 'an unknown state',
  }),
);

export function activityOf({ state }: Torrent): TorrentActivity {
  return ACTIVITIES.get(String(state)) ?? 'error';
}

/** qBittorrent has only begun to look for its files; it shows so of all torrents for a while after its start. */
export function isUnsettled({ state }: Torrent): boolean {
  return state === 'checkingResumeData';
}

export function stateOf(infoHash: string, torrent: Torrent): TorrentState {
  const { name, progress, save_path: directory } = torrent;
  const state = String(torrent['state']);
  const message = MESSAGES.get(state) ?? (ACTIVITIES.has(state) ? undefined : `an unknown state: ${quoted(state)}`);
  return {
    infoHash,
    name: typeof name === 'string' ? name : '',
    activity: activityOf(torrent),
    progress: typeof progress === 'number' ? Math.min(1, Math.max(0, progress)) : 0,
    ...(typeof directory === 'string' ? { directory: withoutSlash(directory) } : {}),
    ...(message === undefined ? {} : { message }),
    ...(isUnsettled(torrent) ? { unsettled: true } : {}),
  };
}
