/**
 * Sources that change while they are served: how soon a renamed file is mapped again, what that costs those who read, and the
 * events that an entry survives. The file systems are those of `test/harness/file-systems.ts`, which only root may mount.
 *
 * Each part has a limit of time: it measures fewer rounds where the machine is slow, and ends when its time is over. The disk
 * that does not answer comes last.
 */
import { renameSync, utimesSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../src/errors.ts';
import { makeFilm } from '../../test/survival/films.ts';
import type { Scene } from '../../test/survival/scene.ts';
import { survey } from '../../test/survival/survey.ts';
import { writeDataFile } from '../data/known-bytes.ts';
import { MIB, positions, range, read, shuffled } from '../lib/access.ts';
import { fillStore, planFile } from '../lib/filled-store.ts';
import { LargeFile } from '../lib/large-file.ts';
import { manyFiles } from '../lib/many-files.ts';
import { peakMegabytes, residentMegabytes, settledMegabytes } from '../lib/process-memory.ts';
import { rowLine } from '../lib/report.ts';
import { absolute, compared, type Row } from '../lib/row.ts';
import { TimeLimit, withScene } from '../lib/scenes.ts';
import { withServers } from '../lib/servers.ts';
import { PartialFailure, type Setting, sized, tell } from '../lib/suite.ts';
import { OPENSSL_COST, opensslCost } from '../references/openssl-speed.ts';
import { ALONE, BEFORE_RENAME, TRUSTED, UNLOOKED } from '../references/undisturbed.ts';
import { leasedReads, writersOfMany } from './living-leases.ts';
import { deletedWhileOpen, taggedInPlace } from './living-rescue.ts';

const SIZES = {
  full: {
    rounds: 5,
    folderFiles: 10_000,
    bytes: 128 * MIB,
    reads: 4000,
    leased: 1000,
    tagged: 50_000_000,
    deleted: 1024 * MIB,
    sources: 100_000,
    people: ['root', 'user'],
    /** Those of the tests; undefined: all of ext4. */
    events: undefined,
    targets: true,
  },
  small: {
    rounds: 1,
    folderFiles: 50,
    bytes: 4 * MIB,
    reads: 100,
    leased: 20,
    tagged: 4 * MIB,
    deleted: 4 * MIB,
    sources: 200,
    people: ['root'],
    events: ['renamed', 're-tagged in place'],
    targets: false,
  },
} as const;
type Sizes = (typeof SIZES)[keyof typeof SIZES];
type Person = Sizes['people'][number];

/** Each part gives its rows as it has them. The limits are in seconds, and eleven minutes together. */
interface Part {
  /** Names it in AUTOTORRENT_BENCH_PARTS. */
  readonly key: string;
  readonly name: string;
  readonly seconds: number;
  readonly measure: (sizes: Sizes, limit: TimeLimit, give: (row: Row) => void) => Promise<void>;
}

const PARTS: readonly Part[] = [
  { key: 'root', name: 'as root: a renamed file, suspect reads', seconds: 45, measure: asRoot },
  { key: 'user', name: 'as a user: a renamed file', seconds: 25, measure: asUser },
  { key: 'folder', name: 'a renamed folder', seconds: 55, measure: folder },
  { key: 'looks', name: 'the look after each read', seconds: 25, measure: looks },
  { key: 'memory', name: 'memory', seconds: 240, measure: memory },
  { key: 'events', name: 'events', seconds: 45, measure: events },
  { key: 'leases', name: 'leases', seconds: 60, measure: leases },
  { key: 'rescue', name: 'what is kept', seconds: 120, measure: rescue },
  { key: 'slow', name: 'a disk that does not answer', seconds: 30, measure: slowDisk },
];

/** Until the slow file system is slow, and until reads of it wait. */
const SLOW_NOW_MS = 300;
const SLOW_MS = 5000;
const SLOW_READERS = 16;
const RANDOM_BYTES = 16_384;
/** Reads with a look and without one take turns this many times as often as the rounds of others. */
const SHARES = 2;
const PER_FOLDER = 100;
/** Until a server without sources rests. */
const STARTED_MS = 5000;
/** Until the folders of the sources are watched, at least. */
const WATCHED_MS = 15_000;
/** Until a look that the server made of a source is too old to be believed. */
const STALE_MS = 1100;
const GIB = 1024 * MIB;

export async function benchLiving(setting: Setting): Promise<Row[]> {
  const sizes: Sizes = sized(setting, SIZES as { readonly full: Sizes; readonly small: Sizes });
  const rows: Row[] = [];
  const failures: string[] = [];
  const patience = Number(process.env['AUTOTORRENT_BENCH_PATIENCE'] ?? 1);
  const only = process.env['AUTOTORRENT_BENCH_PARTS']?.split(',');
  const unknown = only?.find((key) => PARTS.every((part) => part.key !== key));
  if (unknown !== undefined) {
    throw new Error(`no such part: ${unknown}; there are ${PARTS.map(({ key }) => key).join(', ')}`);
  }
  for (const { key, name, seconds, measure } of PARTS) {
    if (only?.includes(key) === false) continue;
    const began = performance.now();
    tell(`  ${name} …`);
    try {
      await measure(sizes, new TimeLimit(seconds * patience), (row) => {
        rows.push(row);
        tell(`    ${rowLine(row)}`);
      });
    } catch (error) {
      failures.push(`${name}: ${messageOf(error)}`);
      tell(`    ${messageOf(error)}`);
    }
    tell(`    ${((performance.now() - began) / 1000).toFixed(0)} s`);
  }
  if (failures.length > 0) throw new PartialFailure(failures.join('; '), rows);
  return rows;
}

async function asRoot(sizes: Sizes, limit: TimeLimit, give: (row: Row) => void): Promise<void> {
  const room = { bytes: GIB, files: 10_000 };
  await withScene({ kind: 'ext4', person: 'root', room }, limit, async (scene) => {
    const film = makeFilm('Film.mkv', 0);
    scene.write(join(scene.library, film.name), film.bytes);
    const touched = new LargeFile(scene, 'Touched', sizes.bytes, 1);
    const trusted = new LargeFile(scene, 'Trusted', sizes.bytes, 2);
    await scene.run('rebuild');
    await scene.mount();
    await scene.add([film, touched, trusted]);
    give(await renamedFile(scene, film, sizes, limit));
    for (const row of await suspectReads(scene, touched, trusted, sizes, limit)) give(row);
  });
}

async function folder(sizes: Sizes, limit: TimeLimit, give: (row: Row) => void): Promise<void> {
  const { folderFiles, bytes } = sizes;
  const room = { bytes: GIB, files: folderFiles + 10_000 };
  await withScene({ kind: 'ext4', person: 'root', room }, limit, async (scene) => {
    const many = manyFiles(scene, folderFiles, folderFiles);
    const large = new LargeFile(scene, 'Large', bytes, 1);
    await scene.run('rebuild');
    await scene.mount();
    await scene.add([many, large]);
    for (const row of await renamedFolder(scene, many, large, sizes, limit)) give(row);
  });
}

async function asUser(sizes: Sizes, limit: TimeLimit, give: (row: Row) => void): Promise<void> {
  if (!(sizes.people as readonly Person[]).includes('user')) return;
  await withScene({ kind: 'ext4', person: 'user' }, limit, async (scene) => {
    const film = makeFilm('Film.mkv', 0);
    scene.write(join(scene.library, film.name), film.bytes);
    await scene.run('rebuild');
    await scene.mount();
    await scene.add([film]);
    give(await renamedFile(scene, film, sizes, limit));
  });
}

/** A file is renamed; the time until `show` has the new path, a call of the program included. */
async function renamedFile(
  scene: Scene,
  film: ReturnType<typeof makeFilm>,
  { rounds, targets }: Sizes,
  limit: TimeLimit,
): Promise<Row> {
  let path = join(scene.library, film.name);
  await scene.read(film);
  const [figures, calls]: [number[], number[]] = [[], []];
  for (let round = 0; limit.allows(round, rounds); round++) {
    const call = performance.now();
    await scene.sourcesOf(film);
    calls.push((performance.now() - call) / 1000);
    const to = join(scene.library, `Renamed ${round}.mkv`);
    renameSync(path, to);
    path = to;
    figures.push(await secondsUntil(async () => (await scene.sourcesOf(film)).includes(to)));
  }
  const { name } = scene.person;
  return absolute({
    name: `a renamed file is mapped at its new place, as ${name === 'root' ? 'root' : 'a user'}`,
    unit: 's',
    figures,
    target: targets ? { at_most: name === 'root' ? 1 : 5 } : undefined,
    note: `a call of show takes ${Math.min(...calls).toFixed(2)} s of it, or more`,
  });
}

/** A folder of many files is renamed; the time until all are mapped again, and random reads of another file meanwhile. */
async function renamedFolder(
  scene: Scene,
  many: ReturnType<typeof manyFiles>,
  large: LargeFile,
  { rounds, folderFiles, reads, targets }: Sizes,
  limit: TimeLimit,
): Promise<readonly Row[]> {
  let { folder } = many;
  const [times, before, meanwhile]: [number[], number[], number[]] = [[], [], []];
  await large.randomRate(reads);
  for (let round = 0; limit.allows(round, rounds); round++) {
    before.push(await large.randomRate(reads));
    const to = join(scene.library, `Renamed ${round}`);
    renameSync(folder, to);
    folder = to;
    const began = performance.now();
    meanwhile.push(await large.randomRate(reads));
    await secondsUntil(async () => (await scene.sourcesOf(many)).every((path) => path.startsWith(`${to}/`)));
    times.push((performance.now() - began) / 1000);
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
}

/** A file is touched, so that each of its pieces is hashed as it is read for the first time. */
async function suspectReads(
  scene: Scene,
  touched: LargeFile,
  trusted: LargeFile,
  { rounds, targets }: Sizes,
  limit: TimeLimit,
): Promise<readonly Row[]> {
  const [first, second, reference, sha1]: [number[], number[], number[], number[]] = [[], [], [], []];
  await scene.run('status');
  for (let round = 0; limit.allows(round, rounds); round++) {
    utimesSync(touched.source, new Date(), new Date(1_600_000_000_000 + round * 1000));
    await sleep(STALE_MS);
    sha1.push(1 / (await opensslCost('sha1')) / 1e6);
    first.push(await touched.sequentialRate());
    reference.push(await trusted.sequentialRate());
    second.push(await touched.sequentialRate());
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
      name: 'the same, by a trusted source',
      unit: 'MB/s',
      figures: first,
      reference: { ...TRUSTED, figures: reference },
    }),
    compared({
      name: 'second read of a suspect source, sequential',
      unit: 'MB/s',
      figures: second,
      reference: { ...TRUSTED, figures: reference },
      target: targets ? { at_least: 0.95 } : undefined,
    }),
  ];
}

/** Random reads from a server that looks at the source after each, or does not: one process, so that nothing else differs. */
async function looks(
  { rounds, bytes, reads, targets }: Sizes,
  limit: TimeLimit,
  give: (row: Row) => void,
): Promise<void> {
  await withServers(async (base, servers) => {
    const source = join(base, 'large');
    writeDataFile(source, bytes, 1);
    const places = shuffled(positions(bytes, RANDOM_BYTES)).slice(0, reads / SHARES);
    const state = join(base, 'state');
    const file = planFile(['large'], bytes, 0);
    await fillStore(state, [{ name: 'E', sources: [source], files: [file], totalLength: bytes, verified: true }]);
    const server = await servers.start('ours', state, join(base, 'mount'));
    const path = join(base, 'mount', 'E', 'large');
    const rate = async (kind: 'ours' | 'unlooked'): Promise<number> => {
      await servers.setLooking(server, kind === 'ours');
      const seconds = await read([{ path, positions: places, length: RANDOM_BYTES, scratch: base }]);
      return (places.length * RANDOM_BYTES) / 1e6 / seconds;
    };
    await limit.of(rate('ours'));
    await limit.of(rate('unlooked'));
    const figures = { ours: [] as number[], unlooked: [] as number[] };
    // Many short rounds: the difference is smaller than what other programs on the machine take.
    const most = 4 * SHARES * rounds + 1;
    for (let round = 0; limit.allows(round, most); round++) {
      for (const kind of round % 2 === 0 ? (['ours', 'unlooked'] as const) : (['unlooked', 'ours'] as const)) {
        figures[kind].push(await limit.of(rate(kind)));
      }
    }
    give(
      compared({
        name: 'random read with a look after each, 16 KiB',
        unit: 'MB/s',
        figures: figures.ours,
        reference: { ...UNLOOKED, figures: figures.unlooked },
        target: targets ? { at_least: 0.97 } : undefined,
      }),
    );
  });
}

/** The server's memory with many sources, after a start, beside that of a server without any. */
async function memory({ sources, people, targets }: Sizes, limit: TimeLimit, give: (row: Row) => void): Promise<void> {
  const room = { bytes: 2 * GIB, files: sources + sources / PER_FOLDER + 10_000 };
  for (const person of people) {
    await withScene({ kind: 'ext4', person, room }, limit, async (scene) => {
      const many = manyFiles(scene, sources, PER_FOLDER);
      await scene.run('rebuild');
      await scene.mount();
      await sleep(STARTED_MS);
      const empty = residentMegabytes(scene.server.pid);
      await scene.add([many]);
      await scene.unmount();
      await scene.mount();
      // Folders on a disk that sleeps are not watched.
      await keepAwake(scene.library);
      const filled = await settledMegabytes(scene.server.pid, WATCHED_MS);
      give(
        absolute({
          name: `memory for ${sources.toLocaleString('en')} sources, as ${person === 'root' ? 'root' : 'a user'}`,
          unit: 'MB',
          figures: [filled - empty],
          target: targets ? { at_most: 100 } : undefined,
          note: `${filled.toFixed(0)} MB in all, ${peakMegabytes(scene.server.pid).toFixed(0)} MB at most`,
        }),
      );
    });
  }
}

/** Reads of a source with a lease, and writers that come to many sources with leases at once. */
async function leases(sizes: Sizes, limit: TimeLimit, give: (row: Row) => void): Promise<void> {
  const room = { bytes: GIB, files: 10_000 };
  await withScene({ kind: 'ext4', person: 'root', room }, limit, async (scene) => {
    const [leased, unleased] = [1, 2].map((seed) => new LargeFile(scene, `Large ${seed}`, sizes.bytes, seed));
    const many = manyFiles(scene, sizes.leased, PER_FOLDER);
    await scene.run('rebuild');
    await scene.mount();
    await scene.add([leased!, unleased!, many]);
    give(await leasedReads(scene, { leased: leased!, unleased: unleased! }, sizes, limit));
    for (const row of await writersOfMany(scene, { many, other: leased! }, sizes, limit)) give(row);
  });
}

/** Sources that are written to in place, and deleted, while they are open. */
async function rescue({ tagged, deleted, targets }: Sizes, limit: TimeLimit, give: (row: Row) => void): Promise<void> {
  const room = { bytes: 2 * GIB, files: 10_000 };
  await withScene({ kind: 'ext4', person: 'root', room }, limit, async (scene) => {
    for (const row of await taggedInPlace(scene, tagged, targets)) give(row);
  });
  for (const kind of ['btrfs', 'xfs'] as const) {
    await withScene({ kind, person: 'root', room }, limit, async (scene) => {
      give(await deletedWhileOpen(scene, deleted, targets));
    });
  }
}

/** Has a disk do something, so that it counts as used. */
async function keepAwake(folder: string): Promise<void> {
  const file = await open(join(folder, 'used'), 'w');
  await file.write('used');
  await file.sync();
  await file.close();
}

/** The events of the tests on ext4: those that each kind of reader survives, and the wrong pieces of all. */
async function events({ events: only }: Sizes, limit: TimeLimit, give: (row: Row) => void): Promise<void> {
  const options = { kind: 'ext4', person: 'root', server: 'running', only } as const;
  const { outcomes, failure } = await survey({ ...options, within: async (work) => await limit.of(work) });
  if (failure !== undefined) throw failure;
  const stages = [...outcomes.values()];
  const survived = stages.filter((each) => [...each.values()].every(({ good, possible }) => good >= possible)).length;
  const wrong = stages.reduce((sum, each) => sum + [...each.values()].reduce((n, o) => n + o.wrong.length, 0), 0);
  give(
    absolute({
      name: `events survived, of ${stages.length}: live, held, after restart and remount`,
      unit: 'events',
      figures: [survived],
      target: { at_least: stages.length },
      exact: true,
    }),
  );
  give(
    absolute({ name: 'wrong pieces served', unit: 'pieces', figures: [wrong], target: { at_most: 0 }, exact: true }),
  );
}

/** Reads of a file while others wait for a file system that answers after 5 seconds. */
async function slowDisk(
  { rounds, bytes, reads, targets }: Sizes,
  limit: TimeLimit,
  give: (row: Row) => void,
): Promise<void> {
  await withScene({ kind: 'fuse', person: 'root' }, limit, async (scene) => {
    const slow = range(SLOW_READERS).map((i) => makeFilm(`Slow ${i}.mkv`, i));
    for (const film of slow) scene.write(join(scene.library, film.name), film.bytes);
    const large = new LargeFile(scene, 'Large', bytes, 1, scene.elsewhere);
    await scene.run('rebuild');
    await scene.mount();
    await scene.add([...slow, large]);
    const [alone, beside]: [number[], number[]] = [[], []];
    await large.randomRate(reads);
    for (let round = 0; limit.allows(round, rounds); round++) {
      alone.push(await large.randomRate(reads));
      scene.fileSystem.answerAfter(SLOW_MS);
      await sleep(SLOW_NOW_MS);
      const waiting = slow.map(async (film) => await scene.read(film));
      await sleep(SLOW_NOW_MS);
      beside.push(await large.randomRate(reads));
      scene.fileSystem.answerAfter(0);
      await Promise.all(waiting);
    }
    give(
      compared({
        name: 'random read beside 16 readers of a file system that answers after 5 s, 16 KiB',
        unit: 'MB/s',
        figures: beside,
        reference: { ...ALONE, figures: alone },
        target: targets ? { at_least: 0.95 } : undefined,
      }),
    );
  });
}

/** The limit of the part ends it where `probe` stays false. */
async function secondsUntil(probe: () => Promise<boolean>): Promise<number> {
  const began = performance.now();
  while (!(await probe()));
  return (performance.now() - began) / 1000;
}
