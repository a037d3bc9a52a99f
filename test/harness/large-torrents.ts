/** Makes .torrents of very many files, of which no byte exists. */
import { writeFileSync } from 'node:fs';

export interface LargeTorrent {
  readonly files: number;
  /** Components below the torrent's name. Default: a hundred files a folder. */
  readonly path?: (index: number) => readonly string[];
  /** Bytes of each file. */
  readonly length?: number;
  readonly pieceLength?: number;
}

/** Writes the .torrent of a folder `name`. Its piece hashes are those of nothing. */
export function writeLargeTorrent(file: string, name: string, torrent: LargeTorrent): void {
  const { files, length = 1000, pieceLength = 1 << 20 } = torrent;
  const path =
    torrent.path ?? ((i: number) => [`folder${Math.floor(i / 100)}`, `file${String(i).padStart(8, '0')}.bin`]);
  const text = (value: string): string => `${Buffer.byteLength(value)}:${value}`;
  const parts = ['d4:infod5:filesl'];
  for (let i = 0; i < files; i++) parts.push(`d6:lengthi${length}e4:pathl${path(i).map(text).join('')}ee`);
  const pieces = Math.ceil((files * length) / pieceLength) * 20;
  parts.push(`e4:name${text(name)}12:piece lengthi${pieceLength}e6:pieces${pieces}:`);
  writeFileSync(file, Buffer.concat([Buffer.from(parts.join('')), Buffer.alloc(pieces, 7), Buffer.from('ee')]));
}
