/** Some clients know hybrid torrents by their v2 info hash alone: the store knows both. */
import type { TorrentClient } from '../clients/client.ts';
import type { EntryMessage } from '../control/messages.ts';

export function introduce(client: TorrentClient | undefined, entries: Iterable<EntryMessage>): void {
  const hybrids = [...entries].flatMap(({ info_hash: infoHash, info_hash_v2: infoHashV2 }) =>
    infoHashV2 === undefined ? [] : [{ infoHash, infoHashV2 }],
  );
  if (hybrids.length > 0) client?.introduce?.(hybrids);
}
