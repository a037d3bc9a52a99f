/** Torrents of many files, as a season or an album is. Each file is some whole pieces, so that its pieces are its own. */
import { join } from 'node:path';
import { makeTorrent } from '../harness/make-torrent.ts';
import type { HashedFiles } from '../harness/piece-reader.ts';
import { hashesOf, PIECE_LENGTH, randomBytesOf } from './films.ts';
import type { Scene } from './scene.ts';

export interface Episode extends HashedFiles {
  readonly name: string;
}

export interface Series {
  readonly name: string;
  readonly torrent: Buffer;
  readonly infoHash: string;
  /** Where the episodes lie, at first. */
  readonly folder: string;
  readonly episodes: readonly Episode[];
}

/** Writes a series of `count` files of one piece each into a folder of the library, and makes its torrent. */
export function laySeries(scene: Scene, name: string, count: number, folder = join(scene.library, name)): Series {
  const content = Array.from({ length: count }, (_, i) => {
    const file = `${name} E${String(i + 1).padStart(5, '0')}.mkv`;
    return { path: [file], data: randomBytesOf(`${name} ${i}`, PIECE_LENGTH) };
  });
  for (const { path, data } of content) scene.write(join(folder, ...path), data);
  const { raw, infoHash } = makeTorrent({ name, content, pieceLength: PIECE_LENGTH });
  const episodes = content.map(({ path: [file = ''], data }) => ({
    name: file,
    lengths: [data.length],
    pieceLength: PIECE_LENGTH,
    hashes: hashesOf(data),
  }));
  return { name, torrent: raw, infoHash, folder, episodes };
}

/** What reading some files of a series once gave. */
export interface SeriesRead {
  readonly good: number;
  readonly wrong: readonly string[];
  readonly failed: readonly string[];
}

export async function readSeries(scene: Scene, { name }: Series, episodes: readonly Episode[]): Promise<SeriesRead> {
  let good = 0;
  const wrong: string[] = [];
  const failed: string[] = [];
  await Promise.all(
    episodes.map(async (episode) => {
      const read = await scene.reader.piecesOf([join(scene.autotorrent.storePath, name, name, episode.name)], episode);
      good += read.good;
      if (read.wrong.length > 0) wrong.push(episode.name);
      for (const error of Object.keys(read.failed)) failed.push(`${episode.name}: ${error}`);
    }),
  );
  return { good, wrong, failed };
}
