/** The ids that libtorrent's clients give torrents. */
import type { Metainfo } from '../../metainfo/metainfo.ts';

/** The v1 info hash; for hybrid and v2 torrents the v2 one, cut to 40 digits. */
export function torrentId({ infoHash, infoHashV2 }: Pick<Metainfo, 'infoHash' | 'infoHashV2'>): string {
  return infoHashV2?.slice(0, 40) ?? infoHash;
}
