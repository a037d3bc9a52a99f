/** Torrents that rTorrent cannot seed from the mount. */
import { isUtf8 } from 'node:buffer';
import { AutotorrentError } from '../../errors.ts';
import type { Metainfo } from '../../metainfo/metainfo.ts';

/** Why rTorrent cannot seed the torrent; undefined where it can. */
export function unservable(metainfo: Metainfo): AutotorrentError | undefined {
  if (metainfo.version === 'v2') {
    return unsupported('rTorrent does not know BitTorrent v2 torrents, and ignores them silently');
  }
  const foreign = foreignName(metainfo);
  if (foreign !== undefined) {
    return unsupported(
      `rTorrent looks for the name ${JSON.stringify(foreign.toString('latin1'))} under bytes that are not UTF-8, which the mount cannot show with fuse-native`,
      'Deluge and qBittorrent seed it from the mount. rTorrent seeds it from a disk: add it there yourself.',
    );
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
  return undefined;
}

/** A name that is not UTF-8, if there is one. */
function foreignName({ rawName, files }: Metainfo): Buffer | undefined {
  if (!isUtf8(rawName)) return rawName;
  for (const { rawPath } of files) {
    const found = rawPath.find((name) => !isUtf8(name));
    if (found !== undefined) return found;
  }
  return undefined;
}

function unsupported(what: string, hint = 'Use another client for this torrent.'): AutotorrentError {
  return new AutotorrentError('UNSUPPORTED', what, { hint });
}
