/** Measures a .torrent in slices, for a process that has other things to do. */
import { Scanner } from './scan.ts';

/** Values that are looked at before others get a turn: a millisecond. */
const SLICE = 10_000;

/** Counts the dictionaries of a .torrent: it has at least one for each file. @throws AutotorrentError('TORRENT') unless it is bencoded */
export async function measureMetainfo(raw: Buffer): Promise<number> {
  const scanner = new Scanner(raw, { distinct: false });
  while (!scanner.run(SLICE)) await new Promise(setImmediate);
  return scanner.dictionaries;
}
