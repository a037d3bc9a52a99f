/** Which torrents rTorrent has: one short answer, however many are asked about. */
import { MOST_TORRENTS, SHORT, sumOf, times } from '../wire/allowance.ts';
import { failure } from '../wire/exchange.ts';
import type { RtorrentRpc } from './rpc.ts';
import { listOf, text } from './values.ts';

/** An info hash in a list of its own. */
const A_HASH = { bytes: 256, values: 2, lists: 1 };

/** The info hashes of all torrents, in lower case. @throws AutotorrentError('CLIENT') */
export async function presentIn(rpc: RtorrentRpc): Promise<ReadonlySet<string>> {
  const rows = listOf(
    rpc,
    await rpc.call('d.multicall2', ['', 'main', 'd.hash='], sumOf(SHORT, times(MOST_TORRENTS, A_HASH))),
  );
  return new Set(
    rows.map((row) => {
      const infoHash = text(rpc, listOf(rpc, row)[0]).toLowerCase();
      if (!/^[0-9a-f]{40}$/.test(infoHash)) throw failure(rpc.endpoint, 'answered with an info hash that is none');
      return infoHash;
    }),
  );
}
