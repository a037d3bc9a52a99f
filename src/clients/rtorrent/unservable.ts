/** Torrents that rTorrent cannot seed from the mount. */
import { isUtf8 } from 'node:buffer';
import { AutotorrentError } from '../../errors.ts';
import type { Metainfo } from '../../metainfo/metainfo.ts';

/** Why rTorrent cannot seed the torrent; undefined where it can. */
export function unservable(metainfo: Metainfo): AutotorrentError | undefined {
  if (metainfo.version === 'v2') {
    return unsupported('rTorrent does not know BitTorrent v2 torrents, and ignores them silently');
  }
  const paths = new Set<string>();
  for (const { rawPath, endsEmpty } of metainfo.files) {
    const path = rawPath.join('/');
    if (endsEmpty === true) {
      return unsupported(
        `rTorrent takes the file ${JSON.stringify(`${path}/`)} for a folder, since its name is empty, and never opens it`,
      );
    }
    if (paths.has(path)) {
      return unsupported(`rTorrent opens no torrent that has two files under one name: ${JSON.stringify(path)}`);
    }
    paths.add(path);
  }
  for (const name of [metainfo.rawName, ...metainfo.files.flatMap((file) => file.rawPath)]) {
    if (isUtf8(name)) continue;
    const shown = JSON.stringify(name.toString('latin1'));
    return unsupported(
      `rTorrent looks for the name ${shown} under bytes that are not UTF-8, which the mount cannot show with fuse-native`,
      'Deluge and qBittorrent seed it from the mount. rTorrent seeds it from a disk: add it there yourself.',
    );
  }
  return undefined;
}

function unsupported(what: string, hint = 'Use another client for this torrent.'): AutotorrentError {
  return new AutotorrentError('UNSUPPORTED', what, { hint });
}
