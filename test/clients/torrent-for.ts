/** Makes the `Metainfo` of a torrent that a test makes itself. */
import type { Metainfo } from '../../src/metainfo/metainfo.ts';
import { makeTorrent, type TorrentOptions } from '../harness/make-torrent.ts';

export function torrentFor(options: TorrentOptions, shown: Shown = {}): Metainfo {
  const { raw, infoHash } = makeTorrent(options);
  const { content, pieceLength = 16_384 } = options;
  const rawName = Buffer.from(options.name);
  let offset = 0;
  const list = Buffer.isBuffer(content) ? [{ path: [rawName], data: content }] : content;
  const files = list.map(({ path, data }, index) => {
    offset += data.length;
    return {
      index,
      path: shown.paths?.[index] ?? path.map(String),
      rawPath: path.map((name) => Buffer.from(name)),
      length: data.length,
      offset: offset - data.length,
      pad: false,
      executable: false,
    };
  });
  return {
    raw,
    version: shown.version ?? 'v1',
    infoHash,
    name: shown.name ?? String(options.name),
    rawName,
    multi: !Buffer.isBuffer(content),
    files,
    totalLength: offset,
    pieceLength,
    pieceCount: Math.ceil(offset / pieceLength),
    pieces: Buffer.alloc(0),
    pieceLayers: new Map(),
    private: options.private === true,
    announce: options.announce === undefined ? [] : [[options.announce]],
  };
}

/** The values that parsing finds where they differ from those that the torrent was made of: `path.utf-8`, BEP 52. */
export interface Shown {
  readonly name?: string;
  readonly paths?: readonly (readonly string[])[];
  readonly version?: Metainfo['version'];
}
