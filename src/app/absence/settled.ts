/** A client that was just started knows more of its torrents from one moment to the next. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { TorrentClient, TorrentState } from '../../clients/client.ts';

const LOOK_MS = 500;

export interface Expected {
  readonly infoHashes: readonly string[];
  /** Those of them that it should have. */
  readonly awaited: readonly string[];
  /** What it says of a torrent may be another thing in a moment. */
  readonly isVague: (state: TorrentState) => boolean;
}

/** What the client knows when it knows all, or when it has not got on with that for `limitMs`. */
export async function settledStates(
  client: TorrentClient,
  { infoHashes, awaited, isVague }: Expected,
  limitMs: number,
): Promise<TorrentState[]> {
  const openIn = (states: readonly TorrentState[]): number => {
    const there = new Set(states.map(({ infoHash }) => infoHash));
    return awaited.filter((hash) => !there.has(hash)).length + states.filter(isVague).length;
  };
  let states = await client.list(infoHashes);
  let least = openIn(states);
  for (let end = performance.now() + limitMs; least > 0 && performance.now() < end; ) {
    await sleep(LOOK_MS);
    states = await client.list(infoHashes);
    const now = openIn(states);
    if (now < least) end = performance.now() + limitMs;
    least = Math.min(least, now);
  }
  return states;
}
