/** The time of `rebuild`, start-up included, beside `find` on the same tree in the page cache. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { autotorrentIn } from '../../test/harness/autotorrent.ts';
import { tree } from '../data/tree/tree.ts';
import { costOf } from '../lib/peak-memory.ts';
import { interleaved } from '../lib/rounds.ts';
import { absolute, compared, type Row } from '../lib/row.ts';
import { inFolder, secondsOf } from '../lib/setting.ts';
import { type Setting, sized } from '../lib/suite.ts';
import { FIND, findSeconds } from '../references/find.ts';

const SIZES = {
  full: { files: 100_000, more: 300_000, rounds: 5, targets: true },
  small: { files: 1_000, more: 3_000, rounds: 3, targets: false },
};

interface Measured {
  /** Seconds, by round. */
  readonly find: number[];
  readonly full: number[];
  readonly incremental: number[];
  readonly memoryMib: number[];
}

export async function benchRebuild(setting: Setting): Promise<Row[]> {
  const { files, more, rounds, targets } = sized(setting, SIZES);
  const small = await measure(setting.data.get(tree({ files, seed: 1 })), rounds);
  const large = await measure(setting.data.get(tree({ files: more, seed: 2 })), rounds);
  const [few, many] = [`${files.toLocaleString('en')} files`, `${more.toLocaleString('en')} files`];
  const unit = 's';
  const find = { ...FIND, figures: small.find };
  const growth = {
    name: `rebuild --full, ${few}`,
    stands_for: 'The same command on a third of the files: three times as long is linear.',
    figures: small.full,
  };
  const target = <T>(one: T): T | undefined => (targets ? one : undefined);
  return [
    compared({
      name: `rebuild --full, ${few}`,
      unit,
      figures: small.full,
      reference: find,
      target: target({ at_most: 4 }),
    }),
    compared({
      name: `rebuild, ${few}, nothing changed`,
      unit,
      figures: small.incremental,
      reference: find,
      target: target({ at_most: 3 }),
    }),
    compared({
      name: `rebuild --full, ${many}`,
      unit,
      figures: large.full,
      reference: growth,
      target: target({ at_most: 3.5 }),
    }),
    absolute({
      name: `rebuild --full, ${few}: memory`,
      unit: 'MiB',
      figures: small.memoryMib,
      target: target({ at_most: 286 }),
    }),
  ];
}

async function measure(folderOfTree: string, rounds: number): Promise<Measured> {
  return await inFolder(async (folder) => {
    const disk = join(folderOfTree, 'data');
    const { config } = await autotorrentIn({ folder, disks: [disk] });
    const memoryMib: number[] = [];
    await findSeconds(disk); // warms the cache
    const { find, full, incremental } = await interleaved(rounds, {
      find: async () => await findSeconds(disk),
      full: async () => {
        rmSync(join(folder, 'index'), { recursive: true, force: true });
        return await secondsOf(() => memoryMib.push(rebuild(config, '--full')));
      },
      incremental: async () => {
        rebuild(config);
        return await secondsOf(() => rebuild(config));
      },
    });
    return { find, full, incremental, memoryMib };
  });
}

/** Gives its peak memory, in MiB. */
function rebuild(config: string, ...flags: readonly string[]): number {
  return costOf(config, ['rebuild', ...flags]).mebibytes;
}
