/** Reads a torrent's state from the keys of its status in Deluge. */
import { withoutSlash } from '../adding/directory.ts';
import type { TorrentActivity, TorrentState } from '../client.ts';
import { quoted } from '../wire/exchange.ts';

export type Status = Record<string, unknown>;

export const STATE_KEYS = ['name', 'state', 'progress', 'message', 'save_path'];

const ACTIVITIES: ReadonlyMap<string, TorrentActivity> = new Map(
  Object.entries({
    Allocating: 'checking',
    Checking: 'checking',
    Downloading: 'downloading',
    Seeding: 'seeding',
    Paused: 'stopped',
    Queued: 'queued',
    Moving: 'queued',
    Error: 'error',
  } satisfies Record<string, TorrentActivity>),
);

export function stateOf(
  infoHash: string,
  { name, state, progress, message, save_path: directory }: Status,
): TorrentState {
  const activity = ACTIVITIES.get(String(state)) ?? 'error';
  const told = messageOf(String(state), message);
  return {
    infoHash,
    name: typeof name === 'string' ? name : '',
    activity,
    progress: typeof progress === 'number' ? Math.min(1, Math.max(0, progress / 100)) : 0,
    ...(typeof directory === 'string' ? { directory: withoutSlash(directory) } : {}),
    ...(told === '' ? {} : { message: told }),
  };
}

function messageOf(state: string, message: unknown): string {
  const activity = ACTIVITIES.get(state);
  if (activity === undefined) return `an unknown state: ${quoted(state)}`;
  const said = typeof message === 'string' && message !== 'OK' ? quoted(message) : '';
  // Deluge sets the state first, and the message a moment later.
  return said === '' && activity === 'error' ? 'an error, of which its log says more' : said;
}
