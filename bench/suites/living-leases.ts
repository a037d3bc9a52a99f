/** What leases on sources cost readers, and how long writers wait for them. */
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StatusJson } from '../../src/cli/json.ts';
import { writersAtOnce } from '../../test/harness/writers-at-once.ts';
import type { Scene } from '../../test/survival/scene.ts';
import type { LargeFile } from '../lib/large-file.ts';
import type { ManyFiles } from '../lib/many-files.ts';
import { absolute, compared, type Row } from '../lib/row.ts';
import type { TimeLimit } from '../lib/scenes.ts';
import { BEFORE_WRITERS, UNLEASED } from '../references/undisturbed.ts';

interface LeaseSizes {
  readonly rounds: number;
  readonly reads: number;
  readonly targets: boolean;
}

/** Milliseconds between two questions whether the server has its leases. */
const ASK_MS = 200;
/** Reads of the two files take turns this many times as often as the rounds of others, and are as much shorter. */
const SHARES = 4;

async function untilHeld(scene: Scene, count: number): Promise<void> {
  for (;;) {
    const { leases } = (await scene.autotorrent.json('status')) as StatusJson;
    if (leases.held >= count) return;
    await sleep(ASK_MS);
  }
}

/** Random reads of two files, of which the server has a lease on one. */
export async function leasedReads(
  scene: Scene,
  { leased, unleased }: { readonly leased: LargeFile; readonly unleased: LargeFile },
  { rounds, reads, targets }: LeaseSizes,
  limit: TimeLimit,
): Promise<Row> {
  const figures = { leased: [] as number[], unleased: [] as number[] };
  const handles: FileHandle[] = [];
  try {
    handles.push(await open(unleased.source, 'r+'));
    for (const { name } of [leased, unleased]) {
      handles.push(await open(join(scene.autotorrent.storePath, name, `${name}.mkv`)));
    }
    await untilHeld(scene, 1);
    for (const file of [leased, unleased]) await file.randomRate(reads);
    for (let round = 0; limit.allows(round, SHARES * rounds); round++) {
      const order = [
        ['leased', leased],
        ['unleased', unleased],
      ] as const;
      for (const [name, file] of round % 2 === 0 ? order : order.toReversed()) {
        figures[name].push(await file.randomRate(Math.ceil(reads / SHARES)));
      }
    }
  } finally {
    for (const handle of handles) await handle.close();
  }
  return compared({
    name: 'random read of a source with a lease, 16 KiB',
    unit: 'MB/s',
    figures: figures.leased,
    reference: { ...UNLEASED, figures: figures.unleased },
    target: targets ? { at_least: 0.98 } : undefined,
  });
}

/** Writers open all of many files at once, on which the server has leases; what they wait, and others read meanwhile. */
export async function writersOfMany(
  scene: Scene,
  { many, other }: { readonly many: ManyFiles; readonly other: LargeFile },
  { rounds, reads, targets }: LeaseSizes,
  limit: TimeLimit,
): Promise<readonly Row[]> {
  const [waits, before, meanwhile]: [number[], number[], number[]] = [[], [], []];
  const { paths, folder, name } = many;
  const handles: FileHandle[] = [];
  try {
    for (const path of paths) handles.push(await open(join(scene.autotorrent.storePath, name, name, path)));
    await other.randomRate(reads);
    for (let round = 0; limit.allows(round, rounds); round++) {
      await untilHeld(scene, paths.length);
      before.push(await other.randomRate(reads));
      const writers = await writersAtOnce(paths.map((path) => join(folder, path)));
      const longest = writers.go();
      meanwhile.push(await other.randomRate(reads));
      waits.push(await longest);
    }
  } finally {
    for (const handle of handles) await handle.close();
  }
  const count = paths.length.toLocaleString('en');
  return [
    absolute({
      name: `${count} writers at once on ${count} sources with leases: the longest wait`,
      unit: 's',
      figures: waits,
      target: targets ? { at_most: 5 } : undefined,
      better: 'lower',
    }),
    compared({
      name: 'random read of another file meanwhile, 16 KiB, beside writers',
      unit: 'MB/s',
      figures: meanwhile,
      reference: { ...BEFORE_WRITERS, figures: before },
      target: targets ? { at_least: 0.9 } : undefined,
    }),
  ];
}
