/** Pad files, which libtorrent's clients list in their own way. */
import type { Metainfo } from '../../metainfo/metainfo.ts';
import type { NamedFile } from '../adding/names.ts';

/**
 * Completes a client's list of files to all files of the torrent. libtorrent's clients leave the torrent's pads out, or
 * add pads of their own in v2 torrents; pads that are left out get the torrent's own names.
 */
export function withPads(metainfo: Metainfo, listed: readonly NamedFile[]): readonly NamedFile[] {
  if (listed.length === metainfo.files.length) return listed;
  const files = listed.filter(({ path }) => path.at(-2) !== '.pad');
  let next = 0;
  const all = metainfo.files.flatMap(({ pad, path, length }): NamedFile[] => {
    if (pad) return [{ path: [metainfo.name, ...path], length }];
    const file = files[next++];
    return file === undefined ? [] : [file];
  });
  return next === files.length ? all : listed;
}
