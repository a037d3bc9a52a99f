/** `add --dry-run --verify none` of the torrents of a tree, start-up included, beside `find` over the tree. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { tree } from '../data/tree/tree.ts';
import { interleaved } from '../lib/rounds.ts';
import { compared, type Row } from '../lib/row.ts';
import { dryRun, indexed, inFolder } from '../lib/setting.ts';
import { type Setting, sized } from '../lib/suite.ts';
import { FIND, findSeconds } from '../references/find.ts';

const SIZES = { full: { files: 100_000, rounds: 7 }, small: { files: 1_000, rounds: 3 } };

export async function benchAdd(setting: Setting): Promise<Row[]> {
  const { files, rounds } = sized(setting, SIZES);
  const data = setting.data.get(tree({ files, seed: 1 }));
  const [disk, torrents] = [join(data, 'data'), join(data, 'torrents')];
  const count = readdirSync(torrents).length;
  return await inFolder(async (folder) => {
    const autotorrent = await indexed(folder, disk);
    const { find, add } = await interleaved(rounds, {
      find: async () => await findSeconds(disk),
      add: async () => await dryRun(autotorrent, torrents, count, '--verify', 'none'),
    });
    return [
      compared({
        name: `add --dry-run --verify none, ${count} torrents, ${files.toLocaleString('en')} files`,
        unit: 's',
        figures: add,
        reference: { ...FIND, figures: find },
        target: setting.size === 'full' ? { at_most: 1 } : undefined,
      }),
    ];
  });
}
