/**
 * `add --dry-run --verify none`, start-up included: of the torrents of a tree, beside `find` over the tree; and of a single
 * torrent, with an index process that runs and with one that must be started, beside a program that opens the index itself.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { tree } from '../data/tree/tree.ts';
import { directProgram } from '../lib/direct-program.ts';
import { endIndexProcess } from '../lib/end-index-process.ts';
import { interleaved } from '../lib/rounds.ts';
import { absolute, compared, type Row } from '../lib/row.ts';
import { dryRun, indexed, inFolder, secondsOf } from '../lib/setting.ts';
import { type Setting, sized } from '../lib/suite.ts';
import { FIND, findSeconds } from '../references/find.ts';

const SIZES = {
  full: { files: 100_000, rounds: 7, single: 15 },
  small: { files: 1_000, rounds: 3, single: 1 },
};

export async function benchAdd(setting: Setting): Promise<Row[]> {
  const { files, rounds, single } = sized(setting, SIZES);
  const data = setting.data.get(tree({ files, seed: 1 }));
  const [disk, torrents] = [join(data, 'data'), join(data, 'torrents')];
  const names = readdirSync(torrents);
  return await inFolder(async (folder) => {
    const autotorrent = await indexed(folder, disk);
    const { find, add } = await interleaved(rounds, {
      find: async () => await findSeconds(disk),
      add: async () => await dryRun(autotorrent, torrents, names.length, '--verify', 'none'),
    });
    const target = setting.size === 'full';
    return [
      compared({
        name: `add --dry-run --verify none, ${names.length} torrents, ${files.toLocaleString('en')} files`,
        unit: 's',
        figures: add,
        reference: { ...FIND, figures: find },
        target: target ? { at_most: 1 } : undefined,
      }),
      ...(await singleTorrent(folder, join(torrents, names[0] ?? ''), single, target)),
    ];
  });
}

async function singleTorrent(folder: string, torrent: string, rounds: number, target: boolean): Promise<Row[]> {
  const db = join(folder, 'index');
  const asking = resolve('dist/src/main.js');
  const opening = await directProgram(join(folder, 'direct'));
  const seconds = async (program: string): Promise<number> =>
    await secondsOf(() => {
      const args = [program, '-c', join(folder, 'autotorrent.conf'), 'add', '--dry-run', '--verify', 'none', torrent];
      const { status, stderr } = spawnSync(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
      if (status !== 0 && status !== 3) throw new Error(`add ended with ${status}: ${stderr.toString()}`);
    });
  const { direct, warm, cold } = await interleaved(rounds, {
    direct: async () => {
      await endIndexProcess(db);
      return await seconds(opening);
    },
    warm: async () => {
      await seconds(asking);
      return await seconds(asking);
    },
    cold: async () => {
      await endIndexProcess(db);
      return await seconds(asking);
    },
  });
  await endIndexProcess(db);
  const more = (figures: readonly number[]): number[] => figures.map((one, i) => (one - (direct[i] ?? 0)) * 1000);
  const limit = target ? { at_most: 60 } : undefined;
  return [
    absolute({
      name: 'add --dry-run of one torrent, which opens the index itself',
      unit: 'ms',
      figures: direct.map((figure) => figure * 1000),
    }),
    absolute({ name: 'more, with an index process that runs', unit: 'ms', figures: more(warm), target: limit }),
    absolute({
      name: 'more, with an index process that must be started',
      unit: 'ms',
      figures: more(cold),
      target: limit,
    }),
  ];
}
