/** Lists the torrents of a client that was just started, and so knows more of them from one moment to the next. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { TorrentClient, TorrentState } from '../../../clients/client.ts';

const LOOK_MS = 500;

export interface Expected {
  readonly infoHashes: readonly string[];
  /** The info hashes among them that the client should have. */
  readonly awaited: readonly string[];
  /** Reports whether a torrent's state may change in a moment. */
  readonly isVague: (state: TorrentState) => boolean;
  /** After this many milliseconds without a new torrent, the list counts as complete. */
  readonly quietMs: number;
}

/** Lists the client's torrents once it has loaded all of them, or has made no progress for `limitMs`. */
export async function settledStates(
  client: TorrentClient,
  { infoHashes, awaited, isVague, quietMs }: Expected,
  limitMs: number,
): Promise<TorrentState[]> {
  const openIn = (states: readonly TorrentState[]): number => {
    const there = new Set(states.map(({ infoHash }) => infoHash));
    return awaited.filter((hash) => !there.has(hash)).length + states.filter(isVague).length;
  };
  let states = await client.list(infoHashes);
  let open = openIn(states);
  let least = open;
  let most = states.length;
  let quietAt = performance.now() + quietMs;
  let end = performance.now() + limitMs;
  const isSettled = (): boolean => open === 0 && (most >= infoHashes.length || performance.now() >= quietAt);
  while (!isSettled() && performance.now() < end) {
    await sleep(LOOK_MS);
    states = await client.list(infoHashes);
    open = openIn(states);
    const came = states.length > most;
    if (came) quietAt = performance.now() + quietMs;
    if (came || open < least) end = performance.now() + limitMs;
    // Torrents that have just come may be open still.
    least = came ? open : Math.min(least, open);
    most = Math.max(most, states.length);
  }
  return states;
}
