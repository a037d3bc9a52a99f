/** Some clients know hybrid torrents by their v2 info hash alone: the store knows both. */
import type { TorrentClient } from '../clients/client.ts';

export function introduce(
  client: TorrentClient | undefined,
  entries: Iterable<{ readonly infoHash: string; readonly infoHashV2?: string }>,
): void {
  const hybrids = [...entries].flatMap(({ infoHash, infoHashV2 }) =>
    infoHashV2 === undefined ? [] : [{ infoHash, infoHashV2 }],
  );
  if (hybrids.length > 0) client?.introduce?.(hybrids);
}
