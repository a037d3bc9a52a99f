/** The cost for a command of asking the index process, warm and cold, beside opening the index directly. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tree } from '../data/tree/tree.ts';
import { endIndexProcess } from '../lib/end-index-process.ts';
import { interleaved } from '../lib/rounds.ts';
import { absolute, type Row } from '../lib/row.ts';
import { indexed, inFolder, secondsOf } from '../lib/setting.ts';
import { type Setting, sized } from '../lib/suite.ts';

const SIZES = { full: { files: 100_000, rounds: 15 }, small: { files: 1_000, rounds: 3 } };

export async function benchIndexProcess(setting: Setting): Promise<Row[]> {
  const { files, rounds } = sized(setting, SIZES);
  const disk = join(setting.data.get(tree({ files, seed: 1 })), 'data');
  return await inFolder(async (folder) => {
    await indexed(folder, disk);
    const db = join(folder, 'index');
    const { direct, warm, cold } = await interleaved(rounds, {
      direct: async () => {
        await endIndexProcess(db);
        return await asked('direct', db);
      },
      warm: async () => {
        await asked('process', db);
        return await asked('process', db);
      },
      cold: async () => {
        await endIndexProcess(db);
        return await asked('process', db);
      },
    });
    await endIndexProcess(db);
    const milliseconds = (figures: readonly number[]): number[] => figures.map((figure) => figure * 1000);
    const more = (figures: readonly number[]): number[] =>
      figures.map((figure, i) => (figure - (direct[i] ?? 0)) * 1000);
    const target = setting.size === 'full' ? { at_most: 60 } : undefined;
    return [
      absolute({ name: 'a process that opens the index and asks once', unit: 'ms', figures: milliseconds(direct) }),
      absolute({ name: 'more, where it asks the index process', unit: 'ms', figures: more(warm), target }),
      absolute({ name: 'more, where it starts the index process', unit: 'ms', figures: more(cold), target }),
    ];
  });
}

async function asked(way: 'direct' | 'process', db: string): Promise<number> {
  const program = fileURLToPath(new URL('../lib/ask-index.js', import.meta.url));
  return await secondsOf(() => {
    const { status, stderr } = spawnSync(process.execPath, [program, way, db], { stdio: ['ignore', 'ignore', 'pipe'] });
    if (status !== 0) throw new Error(`asking the index failed: ${stderr.toString()}`);
  });
}
