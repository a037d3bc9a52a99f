/**
 * Sources that change while they are served: the events that an entry survives, how soon a renamed file is mapped again, and
 * what that costs those who read. The file systems are those of `test/harness/file-systems.ts`, which only root may mount.
 */
import { renameSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../src/errors.ts';
import { makeTorrent } from '../../test/harness/make-torrent.ts';
import { makeFilm } from '../../test/survival/films.ts';
import { Scene, type SceneOptions } from '../../test/survival/scene.ts';
import { laySeries } from '../../test/survival/series.ts';
import { survey } from '../../test/survival/survey.ts';
import { writeDataFile } from '../data/known-bytes.ts';
import { MIB, positions, range, read, shuffled } from '../lib/access.ts';
import { fillStore, planFile } from '../lib/filled-store.ts';
import { LargeFile } from '../lib/large-file.ts';
import { residentMegabytes } from '../lib/process-memory.ts';
import { interleaved } from '../lib/rounds.ts';
import { absolute, compared, type Row } from '../lib/row.ts';
import { withServers } from '../lib/servers.ts';
import { PartialFailure, type Setting, sized, tell } from '../lib/suite.ts';
import { OPENSSL_COST, opensslCost } from '../references/openssl-speed.ts';
import { ALONE, BEFORE_RENAME, TRUSTED, UNLOOKED } from '../references/undisturbed.ts';

const SIZES = {
  full: { rounds: 5, folderFiles: 10_000, bytes: 256 * MIB, reads: 16_000, sources: 100_000, targets: true },
  small: { rounds: 2, folderFiles: 200, bytes: 8 * MIB, reads: 200, sources: 500, targets: false },
};
type Sizes = (typeof SIZES)['full'];
/** Until the slow file system is slow, and until reads of it wait. */
const SLOW_NOW_MS = 300;
const RANDOM_BYTES = 16_384;
const PER_FOLDER = 100;
/** Until the folders of the sources are watched. */
const WATCHED_MS = 5000;
const LIMIT_MS = 120_000;

export async function benchLiving(setting: Setting): Promise<Row[]> {
  const sizes = sized(setting, SIZES);
  const rows: Row[] = [];
  const failures: string[] = [];
  for (const part of [renamedRows, folderRows, suspectRows, lookRows, slowRows, memoryRows, survivalRows]) {
    tell(`  ${part.name}`);
    try {
      rows.push(...(await part(sizes)));
    } catch (error) {
      failures.push(`${part.name}: ${messageOf(error)}`);
    }
  }
  if (failures.length > 0) throw new PartialFailure(failures.join('; '), rows);
  return rows;
}

async function withScene<T>(options: SceneOptions, work: (scene: Scene) => Promise<T>): Promise<T> {
  const scene = await Scene.make(options);
  try {
    return await work(scene);
  } finally {
    await scene.end();
  }
}

/** Every event of the tests on ext4: those that each kind of reader survives, and the wrong pieces of all. */
async function survivalRows(): Promise<Row[]> {
  const { outcomes, failure } = await survey({ kind: 'ext4', person: 'root', server: 'running' });
  if (failure !== undefined) throw failure;
  const stages = [...outcomes.values()];
  const survived = stages.filter((each) => [...each.values()].every(({ good, possible }) => good >= possible)).length;
  const wrong = stages.reduce((sum, each) => sum + [...each.values()].reduce((n, o) => n + o.wrong.length, 0), 0);
  return [
    absolute({
      name: `events survived, of ${stages.length}: live, held, after restart and remount`,
      unit: 'events',
      figures: [survived],
      target: { at_least: stages.length },
      exact: true,
    }),
    absolute({ name: 'wrong pieces served', unit: 'pieces', figures: [wrong], target: { at_most: 0 }, exact: true }),
  ];
}

/** A file is renamed; the time until `show` has the new path, a call of the program included. */
async function renamedRows({ rounds, targets }: Sizes): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [person, seconds] of [
    ['root', 1],
    ['user', 5],
  ] as const) {
    const figures = await withScene({ kind: 'ext4', person }, async (scene) => {
      const film = makeFilm('Film.mkv', 0);
      let path = join(scene.library, film.name);
      scene.write(path, film.bytes);
      await scene.run('rebuild');
      await scene.mount();
      await scene.add([film]);
      await scene.read(film);
      const times: number[] = [];
      for (let round = 0; round < rounds; round++) {
        const to = join(scene.library, `Renamed ${round}.mkv`);
        renameSync(path, to);
        path = to;
        times.push(await secondsUntil(async () => (await scene.sourcesOf(film)).includes(to)));
      }
      return times;
    });
    rows.push(
      absolute({
        name: `a renamed file is mapped at its new place, as ${person === 'root' ? 'root' : 'a user'}`,
        unit: 's',
        figures,
        target: targets ? { at_most: seconds } : undefined,
      }),
    );
  }
  return rows;
}

/** A folder of many files is renamed; the time until all are mapped again, and random reads of another file meanwhile. */
async function folderRows({ rounds, folderFiles, bytes, reads, targets }: Sizes): Promise<Row[]> {
  return await withScene({ kind: 'ext4', person: 'root' }, async (scene) => {
    const series = laySeries(scene, 'Series', folderFiles);
    const large = new LargeFile(scene, 'Large', bytes);
    await scene.run('rebuild');
    await scene.mount();
    await scene.add([series, large]);
    let folder = series.folder;
    const [times, before, meanwhile]: [number[], number[], number[]] = [[], [], []];
    await large.randomRate(reads);
    for (let round = 0; round < rounds; round++) {
      before.push(await large.randomRate(reads));
      const to = join(scene.library, `Renamed ${round}`);
      renameSync(folder, to);
      folder = to;
      const [rate, taken] = await Promise.all([
        large.randomRate(reads),
        secondsUntil(async () => (await scene.sourcesOf(series)).every((path) => path.startsWith(`${to}/`))),
      ]);
      meanwhile.push(rate);
      times.push(taken);
    }
    return [
      absolute({
        name: `folder of ${folderFiles.toLocaleString('en')} files renamed: all mapped again`,
        unit: 's',
        figures: times,
        target: targets ? { at_most: 10 } : undefined,
      }),
      compared({
        name: 'random read of another file meanwhile, 16 KiB',
        unit: 'MB/s',
        figures: meanwhile,
        reference: { ...BEFORE_RENAME, figures: before },
        target: targets ? { at_least: 0.9 } : undefined,
      }),
    ];
  });
}

/** A file is touched, so that each of its pieces is hashed as it is read for the first time. */
async function suspectRows({ rounds, bytes, targets }: Sizes): Promise<Row[]> {
  return await withScene({ kind: 'ext4', person: 'root' }, async (scene) => {
    const [touched, trusted] = [new LargeFile(scene, 'Touched', bytes), new LargeFile(scene, 'Trusted', bytes)];
    await scene.run('rebuild');
    await scene.mount();
    await scene.add([touched, trusted]);
    const [first, second, reference, sha1]: [number[], number[], number[], number[]] = [[], [], [], []];
    for (let round = 0; round < rounds; round++) {
      utimesSync(touched.source, new Date(), new Date(1_600_000_000_000 + round * 1000));
      await sleep(1100);
      sha1.push(1 / (await opensslCost('sha1')) / 1e6);
      first.push(await touched.sequentialRate());
      second.push(await touched.sequentialRate());
      reference.push(await trusted.sequentialRate());
    }
    return [
      compared({
        name: 'first read of a suspect source, sequential',
        unit: 'MB/s',
        figures: first,
        reference: { ...OPENSSL_COST, name: 'openssl speed, one processor', figures: sha1 },
        target: targets ? { at_least: 0.8 } : undefined,
      }),
      compared({
        name: 'second read of a suspect source, sequential',
        unit: 'MB/s',
        figures: second,
        reference: { ...TRUSTED, figures: reference },
        target: targets ? { at_least: 0.95 } : undefined,
      }),
    ];
  });
}

/** Random reads by a server that looks at the source after each, and by one that does not. */
async function lookRows({ rounds, bytes, reads, targets }: Sizes): Promise<Row[]> {
  return await withServers(async (base, servers) => {
    const source = join(base, 'large');
    writeDataFile(source, bytes, 1);
    const places = shuffled(positions(bytes, RANDOM_BYTES)).slice(0, reads);
    const rate = async (kind: 'ours' | 'unlooked'): Promise<number> =>
      (places.length * RANDOM_BYTES) /
      1e6 /
      (await read([{ path: join(base, kind, 'E', 'large'), positions: places, length: RANDOM_BYTES, scratch: base }]));
    for (const kind of ['ours', 'unlooked'] as const) {
      const state = join(base, `${kind} state`);
      const file = planFile(['large'], bytes, 0);
      await fillStore(state, [{ name: 'E', sources: [source], files: [file], totalLength: bytes, verified: true }]);
      await servers.start(kind, state, join(base, kind));
    }
    const figures = await interleaved(2 * rounds + 1, {
      ours: async () => await rate('ours'),
      unlooked: async () => await rate('unlooked'),
    });
    return [
      compared({
        name: 'random read with a look after each, 16 KiB',
        unit: 'MB/s',
        figures: figures.ours,
        reference: { ...UNLOOKED, figures: figures.unlooked },
        target: targets ? { at_least: 0.97 } : undefined,
      }),
    ];
  });
}

/** Reads of a file while others wait for a file system that answers after 5 seconds. */
async function slowRows({ rounds, bytes, reads, targets }: Sizes): Promise<Row[]> {
  return await withScene({ kind: 'fuse', person: 'root' }, async (scene) => {
    const slow = Array.from({ length: 16 }, (_, i) => makeFilm(`Slow ${i}.mkv`, i));
    for (const film of slow) scene.write(join(scene.library, film.name), film.bytes);
    const large = new LargeFile(scene, 'Large', bytes, scene.elsewhere);
    await scene.run('rebuild');
    await scene.mount();
    await scene.add([...slow, large]);
    const [alone, beside]: [number[], number[]] = [[], []];
    await large.randomRate(reads);
    for (let round = 0; round < rounds; round++) {
      scene.fileSystem.answerAfter(0);
      alone.push(await large.randomRate(reads));
      scene.fileSystem.answerAfter(5000);
      await sleep(SLOW_NOW_MS);
      const waiting = slow.map(async (film) => await scene.read(film));
      await sleep(SLOW_NOW_MS);
      beside.push(await large.randomRate(reads));
      scene.fileSystem.answerAfter(0);
      await Promise.all(waiting);
    }
    return [
      compared({
        name: 'random read beside 16 readers of a file system that answers after 5 s, 16 KiB',
        unit: 'MB/s',
        figures: beside,
        reference: { ...ALONE, figures: alone },
        target: targets ? { at_least: 0.95 } : undefined,
      }),
    ];
  });
}

/** The server's memory with many sources, after a start, beside that of a server without any. */
async function memoryRows({ sources, targets }: Sizes): Promise<Row[]> {
  const rows: Row[] = [];
  for (const person of ['root', 'user'] as const) {
    const [filled, empty] = [await memoryWith(person, sources), await memoryWith(person, 0)];
    rows.push(
      absolute({
        name: `memory for ${sources.toLocaleString('en')} sources, as ${person === 'root' ? 'root' : 'a user'}`,
        unit: 'MB',
        figures: [filled - empty],
        target: targets ? { at_most: 100 } : undefined,
        note: `${filled.toFixed(0)} MB in all`,
      }),
    );
  }
  return rows;
}

async function memoryWith(person: SceneOptions['person'], sources: number): Promise<number> {
  return await withScene({ kind: 'ext4', person }, async (scene) => {
    const many = manyFiles(scene, sources);
    await scene.run('rebuild');
    await scene.mount();
    if (sources > 0) {
      await scene.add([many]);
      await scene.unmount();
      await scene.mount();
    }
    await sleep(WATCHED_MS);
    return residentMegabytes(scene.server.pid);
  });
}

/** Small files, a hundred in a folder, and their torrent. */
function manyFiles(scene: Scene, count: number): { readonly name: string; readonly torrent: Buffer } {
  const content = range(count).map((i) => ({
    path: [`folder ${Math.floor(i / PER_FOLDER)}`, `file ${i}`],
    data: Buffer.alloc(100, `file ${i} `),
  }));
  for (const { path, data } of content) scene.write(join(scene.library, 'Many', ...path), data);
  return { name: 'Many', torrent: makeTorrent({ name: 'Many', content }).raw };
}

async function secondsUntil(probe: () => Promise<boolean>): Promise<number> {
  const began = performance.now();
  for (;;) {
    if (await probe()) return (performance.now() - began) / 1000;
    if (performance.now() - began > LIMIT_MS) throw new Error('not within two minutes');
  }
}
