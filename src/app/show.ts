/** `autotorrent show`: one entry, its files, the sources of their bytes, and its verified pieces. */
import type { Config } from '../config/config.ts';
import type { ServedEntry, ServedFile, ServedSource } from '../control/served.ts';
import { AutotorrentError } from '../errors.ts';
import { hasBit } from '../extent/bitfield.ts';
import { requireServer } from './server-connection.ts';

export interface ShownEntry {
  readonly entry: ServedEntry;
  /** The verified pieces, as half-open ranges. */
  readonly verifiedRanges: readonly (readonly [first: number, end: number])[];
  /** The sources that are not trusted, or to which something happened. */
  readonly sources: AsyncIterable<ServedSource>;
  /** Files one after the other: there may be 200,000. */
  readonly files: AsyncIterable<ServedFile>;
}

/** @throws AutotorrentError('NOT_FOUND') */
export async function showEntry(config: Config, id: string): Promise<ShownEntry> {
  const server = await requireServer(config);
  const entry = await server.entry(id);
  if (entry === undefined) {
    throw new AutotorrentError('NOT_FOUND', `there is no entry ${id}`, { hint: 'autotorrent list shows them' });
  }
  const map = await server.pieces(entry.infoHash);
  return {
    entry,
    verifiedRanges: rangesOf(map, entry.pieces),
    sources: server.sources(entry.infoHash),
    files: server.files(entry.infoHash),
  };
}

function rangesOf(map: Buffer, pieces: number): [number, number][] {
  const ranges: [number, number][] = [];
  for (let piece = 0; piece < pieces; piece++) {
    if (!hasBit(map, piece)) continue;
    const last = ranges.at(-1);
    if (last?.[1] === piece) last[1]++;
    else ranges.push([piece, piece + 1]);
  }
  return ranges;
}
