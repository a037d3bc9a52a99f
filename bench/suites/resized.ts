/** Reads of a file of five extents, as the hash modes make it of a copy with insertions, beside a mapped file. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileOf } from '../../test/harness/plans.ts';
import { writeDataFile } from '../data/known-bytes.ts';
import { MIB, positions, range, read, shuffled } from '../lib/access.ts';
import { fillStore, planFile } from '../lib/filled-store.ts';
import { interleaved, rates } from '../lib/rounds.ts';
import { compared, type Row } from '../lib/row.ts';
import { withServers } from '../lib/servers.ts';
import { type Setting, sized } from '../lib/suite.ts';
import { MAPPED_FILE } from '../references/mapped-file.ts';

const SIZES = {
  full: { bytes: 256 * MIB, rounds: 9, randomReads: 4000, targets: true },
  small: { bytes: 8 * MIB, rounds: 3, randomReads: 100, targets: false },
};
const EXTENTS = 5;
/** Foreign bytes before each extent: no extent begins at the boundary of a page. */
const INSERTED = 4113;
const RANDOM_BYTES = 16_384;

export async function benchResized(setting: Setting): Promise<Row[]> {
  const { bytes, rounds, randomReads, targets } = sized(setting, SIZES);
  return await withServers(async (base, servers) => {
    const disk = join(base, 'disk');
    const mountPoint = join(base, 'mount');
    await mkdir(disk);
    const [mapped, resized] = [join(disk, 'mapped'), join(disk, 'resized')];
    writeDataFile(mapped, bytes, 1);
    writeDataFile(resized, bytes + MIB, 2);
    const files = [
      planFile(['mapped'], bytes, 0),
      fileOf(['resized'], extentsOf(bytes), { status: 'resized', mode: 'hash_slow' }),
    ];
    const sources = [mapped, resized];
    await fillStore(join(base, 'state'), [{ name: 'E', sources, files, totalLength: 2 * bytes, verified: true }]);
    await servers.start('ours', join(base, 'state'), mountPoint);
    const random = shuffled(positions(bytes, RANDOM_BYTES)).slice(0, randomReads);
    const jobs = {
      'sequential read, 1 MiB': { at: positions(bytes, MIB), length: MIB },
      'random read, 16 KiB': { at: random, length: RANDOM_BYTES },
    };
    const rows: Row[] = [];
    for (const [name, { at, length }] of Object.entries(jobs)) {
      const job = (file: string) => async (): Promise<number> =>
        await read([{ path: join(mountPoint, 'E', file), positions: at, length, scratch: base }]);
      const seconds = await interleaved(rounds, { resized: job('resized'), mapped: job('mapped') });
      const megabytes = (at.length * length) / 1e6;
      rows.push(
        compared({
          name: `${name}, a resized file of ${EXTENTS} extents`,
          unit: 'MB/s',
          figures: rates(megabytes, seconds.resized),
          reference: { ...MAPPED_FILE, figures: rates(megabytes, seconds.mapped) },
          target: targets ? { at_least: 0.9 } : undefined,
        }),
      );
    }
    return rows;
  });
}

function extentsOf(bytes: number): { length: number; source: number; sourceOffset: number }[] {
  const bounds = [...range(EXTENTS).map((i) => Math.floor((i * bytes) / EXTENTS)), bytes];
  return range(EXTENTS).map((i) => {
    const [from = 0, to = 0] = [bounds[i], bounds[i + 1]];
    return { length: to - from, source: 1, sourceOffset: from + (i + 1) * INSERTED };
  });
}
