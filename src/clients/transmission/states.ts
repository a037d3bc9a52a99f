/** Reads a torrent's state from the fields of Transmission's `torrent-get`. */
import { withoutSlash } from '../adding/directory.ts';
import type { TorrentActivity, TorrentState } from '../client.ts';
import { type Endpoint, failure, quoted } from '../wire/exchange.ts';

export const STATE_FIELDS = [
  'hashString',
  'name',
  'status',
  'error',
  'errorString',
  'percentDone',
  'recheckProgress',
  'downloadDir',
] as const;

/** `status` (RPC 14 and later): stopped, check queued, checking, download queued, downloading, seed queued, seeding. */
const ACTIVITIES: readonly TorrentActivity[] = [
  'stopped',
  'checking',
  'checking',
  'queued',
  'downloading',
  'queued',
  'seeding',
];
export const STOPPED = 0;
/** `error`: 1 and 2 are a tracker's warning and error, which stop nothing; 3 is a local one. */
const LOCAL_ERROR = 3;

export function stateOf(endpoint: Endpoint, torrent: Record<string, unknown>): TorrentState {
  const { name, status, error, errorString, percentDone, recheckProgress, downloadDir } = torrent;
  const activity = typeof status === 'number' ? ACTIVITIES[status] : undefined;
  if (activity === undefined) throw failure(endpoint, `answered with an unknown status: ${quoted(String(status))}`);
  const share = activity === 'checking' ? recheckProgress : percentDone;
  const message = typeof errorString === 'string' && error !== 0 ? quoted(errorString) : '';
  return {
    infoHash: infoHashOf(endpoint, torrent),
    name: typeof name === 'string' ? name : '',
    activity: error === LOCAL_ERROR ? 'error' : activity,
    progress: typeof share === 'number' ? Math.min(1, Math.max(0, share)) : 0,
    ...(typeof downloadDir === 'string' ? { directory: withoutSlash(downloadDir) } : {}),
    ...(message === '' ? {} : { message }),
  };
}

export function infoHashOf(endpoint: Endpoint, { hashString }: Record<string, unknown>): string {
  if (typeof hashString === 'string' && /^[0-9a-f]{40}$/.test(hashString)) return hashString;
  throw failure(endpoint, 'answered with an info hash that is none');
}
