/** What matching costs where each name and size is in the collection a hundred times, beside distinct names and sizes. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { type RepeatedOptions, repeated } from '../data/repeated.ts';
import { type Cost, costOf } from '../lib/peak-memory.ts';
import { interleaved } from '../lib/rounds.ts';
import { absolute, compared, type Row } from '../lib/row.ts';
import { indexed } from '../lib/setting.ts';
import { type Setting, sized } from '../lib/suite.ts';

const SIZES = {
  full: { folders: 100, one: 1000, many: 100, rounds: 3, targets: true },
  small: { folders: 3, one: 20, many: 5, rounds: 1, targets: false },
};
const DISTINCT = {
  name: 'distinct names and sizes',
  stands_for: 'The same command for as many files, of which no two have one name.',
};

export async function repeatRows(folder: string, setting: Setting): Promise<Row[]> {
  const { folders, one, many, rounds, targets } = sized(setting, SIZES);
  const files = (folders * one).toLocaleString('en');
  const single = await measured(join(folder, 'one'), setting, { folders, files: one }, 'all.torrent', rounds);
  const several = await measured(join(folder, 'many'), setting, { folders, files: many }, 'torrents', rounds);
  const target = (most: number): { readonly at_most: number } | undefined => (targets ? { at_most: most } : undefined);
  const name = `add --dry-run --verify probe of a torrent of ${files} files that repeat`;
  return [
    compared({
      name: `add --dry-run --verify probe of ${folders} torrents whose names and sizes repeat`,
      unit: 's',
      figures: several.repeated.map(({ seconds }) => seconds),
      reference: { ...DISTINCT, figures: several.distinct.map(({ seconds }) => seconds) },
      // Each torrent ranks the hundred candidates of each of its names anew.
      target: target(3),
    }),
    compared({
      name,
      unit: 's',
      figures: single.repeated.map(({ seconds }) => seconds),
      reference: { ...DISTINCT, figures: single.distinct.map(({ seconds }) => seconds) },
      target: target(1.25),
    }),
    compared({
      name: `${name}: memory`,
      unit: 'MiB',
      figures: single.repeated.map(({ mebibytes }) => mebibytes),
      reference: { ...DISTINCT, figures: single.distinct.map(({ mebibytes }) => mebibytes) },
      target: target(1.25),
    }),
    absolute({
      name: `${name}: memory, by itself`,
      unit: 'MiB',
      figures: single.repeated.map(({ mebibytes }) => mebibytes),
    }),
  ];
}

async function measured(
  folder: string,
  setting: Setting,
  size: Pick<RepeatedOptions, 'folders' | 'files'>,
  torrents: string,
  rounds: number,
): Promise<{ readonly repeated: readonly Cost[]; readonly distinct: readonly Cost[] }> {
  const costs: Record<RepeatedOptions['kind'], Cost[]> = { repeated: [], distinct: [] };
  const prepared = async (kind: RepeatedOptions['kind']): Promise<() => Promise<number>> => {
    const data = setting.data.get(repeated({ kind, ...size, seed: 1 }));
    const { config } = await indexed(join(folder, kind), join(data, 'data'));
    return async () => {
      // Each run hashes anew.
      rmSync(join(folder, kind, 'index.hashes'), { recursive: true, force: true });
      const cost = costOf(config, ['add', '--dry-run', '--verify', 'probe', join(data, torrents)]);
      costs[kind].push(cost);
      return cost.seconds;
    };
  };
  await interleaved(rounds, { repeated: await prepared('repeated'), distinct: await prepared('distinct') });
  return costs;
}
