/** Reads a torrent's state from the values of rTorrent's commands. */
import { withoutSlash } from '../adding/directory.ts';
import type { TorrentActivity, TorrentState } from '../client.ts';
import { failure, quoted } from '../wire/exchange.ts';
import type { RtorrentRpc } from './rpc.ts';
import { LOST_FILES } from './texts.ts';
import { integer, text } from './values.ts';

export const STATE_FIELDS = [
  'd.hash',
  'd.name',
  'd.state',
  'd.is_active',
  'd.hashing',
  'd.hashing_failed',
  'd.complete',
  'd.completed_bytes',
  'd.size_bytes',
  'd.chunks_hashed',
  'd.size_chunks',
  'd.message',
  'd.is_multi_file',
  'd.directory_base',
] as const;

/** `row` holds the values of `STATE_FIELDS`. */
export function stateOf(rpc: RtorrentRpc, row: readonly unknown[]): TorrentState {
  const field = (name: (typeof STATE_FIELDS)[number]): unknown => row[STATE_FIELDS.indexOf(name)];
  const number = (name: (typeof STATE_FIELDS)[number]): number => integer(rpc, field(name));
  const infoHash = text(rpc, field('d.hash')).toLowerCase();
  if (!/^[0-9a-f]{40}$/.test(infoHash)) throw failure(rpc.endpoint, 'answered with an info hash that is none');

  // For several files it is the folder of the torrent's name.
  const base = withoutSlash(text(rpc, field('d.directory_base')));
  const complete = number('d.complete') !== 0;
  // After a check that failed (a file that cannot be read) rTorrent says nothing, and still shows that it checks.
  const failed = number('d.hashing_failed') !== 0;
  const checking = number('d.hashing') !== 0 && !failed;
  const said = text(rpc, field('d.message'));
  const message = failed ? 'its check failed: it could not open or read a file' : said;
  const share = checking
    ? number('d.chunks_hashed') / number('d.size_chunks')
    : number('d.completed_bytes') / number('d.size_bytes');
  const activity = ((): TorrentActivity => {
    if (checking) return 'checking';
    if (number('d.is_active') !== 0) return complete ? 'seeding' : 'downloading';
    if (number('d.state') === 0) return said === LOST_FILES && !complete ? 'error' : 'stopped';
    return failed ? 'error' : 'queued';
  })();
  return {
    infoHash,
    name: text(rpc, field('d.name')),
    activity,
    progress: complete && !checking ? 1 : Number.isFinite(share) ? Math.min(1, Math.max(0, share)) : 0,
    directory: number('d.is_multi_file') === 0 ? base : withoutSlash(base.slice(0, base.lastIndexOf('/') + 1)),
    ...(message === '' ? {} : { message: quoted(message) }),
  };
}
