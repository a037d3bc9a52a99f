/** Reads of a file of five extents, as the hash modes make it of a copy with insertions, beside one that is mapped whole. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeDataFile } from '../data/known-bytes.ts';
import {
  fillStore,
  interleaved,
  MIB,
  planFile,
  positions,
  range,
  read,
  rowOf,
  shuffled,
  withServers,
} from '../lib/mounts.ts';
import type { BenchRow } from '../lib/row.ts';

const FILE_BYTES = 256 * MIB;
const ROUNDS = 9;
const RANDOM_READS = 4000;
const EXTENTS = 5;
/** What was inserted before each extent: nothing that lies on a page's boundary. */
const INSERTED = 4113;

export async function benchResized(): Promise<BenchRow[]> {
  return await withServers(async (base, servers) => {
    const disk = join(base, 'disk');
    const mountPoint = join(base, 'mount');
    await mkdir(disk);
    const [mapped, resized] = [join(disk, 'mapped'), join(disk, 'resized')];
    writeDataFile(mapped, FILE_BYTES, 1);
    writeDataFile(resized, FILE_BYTES + MIB, 2);
    await fillStore(join(base, 'state'), [
      {
        name: 'E',
        sources: [mapped, resized],
        files: [
          planFile(['mapped'], FILE_BYTES, 0),
          { ...planFile(['resized'], FILE_BYTES, 1), status: 'resized', mode: 'hash_slow', extents: extents() },
        ],
        totalLength: 2 * FILE_BYTES,
        verified: true,
      },
    ]);
    await servers.start('store-server.js', join(base, 'state'), mountPoint);
    const jobs = {
      'sequential read, 1 MiB': { at: positions(FILE_BYTES, MIB), length: MIB },
      'random read, 16 KiB': { at: shuffled(positions(FILE_BYTES, 16384)).slice(0, RANDOM_READS), length: 16384 },
    };
    const rows: BenchRow[] = [];
    for (const [name, { at, length }] of Object.entries(jobs)) {
      const job = (file: string) => async (): Promise<number> =>
        await read([{ path: join(mountPoint, 'E', file), positions: at, length, scratch: base }]);
      const seconds = await interleaved(ROUNDS, { resized: job('resized'), mapped: job('mapped') });
      const megabytes = (at.length * length) / 1e6;
      const title = `${name}, a resized file of ${EXTENTS} extents`;
      rows.push(rowOf(title, 'MB/s', megabytes / seconds.resized, 'a mapped one', megabytes / seconds.mapped, '≥ 0.9'));
    }
    return rows;
  });
}

function extents(): { offset: number; length: number; source: number; sourceOffset: number }[] {
  const bounds = [...range(EXTENTS).map((i) => Math.floor((i * FILE_BYTES) / EXTENTS)), FILE_BYTES];
  return range(EXTENTS).map((i) => {
    const [from = 0, to = 0] = [bounds[i], bounds[i + 1]];
    return { offset: from, length: to - from, source: 1, sourceOffset: from + (i + 1) * INSERTED };
  });
}
