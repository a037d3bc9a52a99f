/**
 * Driver kernel beside the disk itself: reads of a file that is one whole source, which the kernel reads itself
 * (`passthrough`), and of one of several extents, which threads of the server read (`workers`); writes; a listing. The sources are in the
 * page cache. Random writes over a mapped file are beside those of driver fuse-native.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GAP } from '../../src/extent/extent.ts';
import { fileOf } from '../../test/harness/plans.ts';
import { writeDataFile } from '../data/known-bytes.ts';
import { MIB, positions, range, read, shuffled, write } from '../lib/access.ts';
import { fillStore, planFile } from '../lib/filled-store.ts';
import { processorSeconds } from '../lib/process-time.ts';
import type { ReadJob } from '../lib/reader.ts';
import { interleaved, rates } from '../lib/rounds.ts';
import { absolute, compared, type Row, type Target } from '../lib/row.ts';
import type { Servers } from '../lib/servers.ts';
import { DISK } from '../references/disk.ts';
import { findSeconds } from '../references/find.ts';

const SMALL = 16_384;
const EXTENTS = 3;
/** Foreign bytes before each extent: no extent begins at the boundary of a page. */
const INSERTED = 4113;
const SEED = { source: 1, resized: 2, ordinary: 3, written: 10 };
/** Milliseconds in which leases are taken and given back. */
const SETTLED_MS = 1500;

export interface KernelSizes {
  readonly bytes: number;
  readonly rounds: number;
  readonly randomReads: number;
  readonly files: number;
  readonly targets: boolean;
}

/** `disk` has the file `large` of `bytes`, and a folder `tree` of `files` files. */
export async function kernelRows(base: string, disk: string, servers: Servers, sizes: KernelSizes): Promise<Row[]> {
  const { bytes, rounds, files } = sizes;
  const whole = join(disk, 'large');
  const resized = join(disk, 'resized');
  writeDataFile(resized, bytes + MIB, SEED.resized);
  writeDataFile(join(disk, 'written'), bytes, SEED.ordinary);
  const extents = extentsOf(bytes);
  const plan = [
    planFile(['whole'], bytes, 0),
    fileOf(['extents'], extents, { status: 'resized', mode: 'hash_slow' }),
    planFile(['plain'], bytes, GAP),
    ...range(rounds).map((round) => planFile([`over ${round}`], bytes, 0)),
    ...range(files).map((i) => planFile(['tree', `folder ${Math.floor(i / 100)}`, `file ${i}`], 1, 0, i % bytes)),
  ];
  const totalLength = plan.reduce((sum, { length }) => sum + length, 0);
  const contents = { name: 'E', sources: [whole, resized], files: plan, totalLength, verified: true };
  const places = { passthrough: '', workers: '', libfuse: '' };
  const processes = new Map<string, number | undefined>();
  for (const [name, kind] of [
    ['passthrough', 'kernel'],
    ['workers', 'workers'],
    ['libfuse', 'ours'],
  ] as const) {
    const [state, mountPoint] = [join(base, `${name}-state`), join(base, name)];
    mkdirSync(state);
    await fillStore(state, [contents]);
    processes.set(name, (await servers.start(kind, state, mountPoint)).pid);
    places[name] = join(mountPoint, 'E');
  }
  const at = { ...places, disk, base };
  return [...(await readRows(at, processes, sizes)), ...(await writeRows(at, sizes)), ...(await listRows(at, sizes))];
}

interface Places {
  /** The entry, through driver kernel with and without passthrough, and through driver fuse-native. */
  readonly passthrough: string;
  readonly workers: string;
  readonly libfuse: string;
  readonly disk: string;
  readonly base: string;
}

interface Pattern {
  readonly name: string;
  /** Of a file of `length` bytes, split to as many readers as there are lists. */
  readonly at: readonly (readonly number[])[];
  readonly length: number;
  readonly mapped?: boolean;
  /** The least part of the disk's rate: by passthrough, by workers. */
  readonly targets: readonly [number, number];
}

async function readRows(
  places: Places,
  processes: Map<string, number | undefined>,
  sizes: KernelSizes,
): Promise<Row[]> {
  const { bytes, rounds, randomReads, targets } = sizes;
  const all = positions(bytes, MIB);
  const random = shuffled(positions(bytes, SMALL)).slice(0, randomReads);
  const patterns: readonly Pattern[] = [
    { name: 'sequential read, 1 MiB', at: [all], length: MIB, targets: [0.9, 0.5] },
    { name: 'sequential read, 4 readers', at: split(all, 4), length: MIB, targets: [0.9, 0.5] },
    { name: 'random read, 16 KiB, 8 readers', at: split(random, 8), length: SMALL, targets: [0.9, 0.1] },
    { name: 'random read, 16 KiB', at: [random], length: SMALL, targets: [0.9, 0.05] },
    { name: 'random read, 16 KiB, mmap', at: [random], length: SMALL, mapped: true, targets: [0.9, 0.03] },
  ];
  const ways = [
    { name: 'one whole source, passthrough', folder: places.passthrough, file: 'whole', target: 0 },
    { name: `${EXTENTS} extents, workers`, folder: places.workers, file: 'extents', target: 1 },
    { name: 'one whole source, workers', folder: places.workers, file: 'whole', target: 1 },
    { name: 'one whole source, fuse-native', folder: places.libfuse, file: 'whole', target: undefined },
  ] as const;
  const rows: Row[] = [];
  for (const { name, at, length, mapped = false, targets: least } of patterns) {
    const job = (path: string): Promise<number> =>
      read(at.map((list): ReadJob => ({ path, positions: list, length, mapped, scratch: places.base })));
    const cases: Record<string, () => Promise<number>> = Object.fromEntries(
      ways.map((way) => [way.name, async () => await job(join(way.folder, way.file))]),
    );
    cases['disk'] = async () => await job(join(places.disk, 'large'));
    const seconds = await interleaved(rounds, cases);
    const megabytes = (at.flat().length * length) / 1e6;
    const reference = { ...DISK, figures: rates(megabytes, seconds['disk'] ?? []) };
    for (const way of ways) {
      const target: Target | undefined =
        targets && way.target !== undefined ? { at_least: least[way.target] } : undefined;
      const figures = rates(megabytes, seconds[way.name] ?? []);
      rows.push(compared({ name: `kernel: ${name}, ${way.name}`, unit: 'MB/s', figures, reference, target }));
    }
  }
  return [...rows, ...(await processorRows(places, processes, sizes))];
}

/** The server's processor time for a sequential read of everything. */
async function processorRows(
  { passthrough, workers, base }: Places,
  processes: Map<string, number | undefined>,
  { bytes, rounds, targets }: KernelSizes,
): Promise<Row[]> {
  const per = async (server: string, path: string): Promise<number[]> => {
    const pid = processes.get(server);
    const figures: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const before = processorSeconds(pid);
      await read([{ path, positions: positions(bytes, MIB), length: MIB, scratch: base }]);
      figures.push(((processorSeconds(pid) - before) * 2 ** 30) / bytes);
    }
    return figures;
  };
  const row = (name: string, figures: readonly number[], most: number): Row =>
    absolute({
      name: `kernel: processor time of the server, sequential read, ${name}`,
      unit: 's/GiB',
      figures,
      better: 'lower',
      target: targets ? { at_most: most } : undefined,
    });
  return [
    row('passthrough', await per('passthrough', join(passthrough, 'whole')), 0.05),
    row(`${EXTENTS} extents, workers`, await per('workers', join(workers, 'extents')), 0.25),
  ];
}

async function writeRows({ workers, libfuse, disk, base }: Places, sizes: KernelSizes): Promise<Row[]> {
  const { bytes, rounds, randomReads, targets } = sizes;
  const all = positions(bytes, MIB);
  const some = shuffled(positions(bytes, SMALL)).slice(0, randomReads);
  const to = async (path: string, at: readonly number[], length: number, seed: number): Promise<number> =>
    await write({ path, positions: at, length, seed, create: false, scratch: base });
  const [plain, ordinary] = [join(workers, 'plain'), join(disk, 'written')];
  await to(plain, all, MIB, SEED.written);
  const rows: Row[] = [];
  for (const { name, at, length, least } of [
    { name: 'sequential write, 1 MiB', at: all, length: MIB, least: 0.4 },
    { name: 'random write, 16 KiB', at: some, length: SMALL, least: 0.09 },
  ]) {
    const seconds = await interleaved(rounds, {
      ours: async (round) => await to(plain, at, length, SEED.written + round),
      disk: async (round) => await to(ordinary, at, length, SEED.written + round),
    });
    const megabytes = (at.length * length) / 1e6;
    rows.push(
      compared({
        name: `kernel: ${name}, a plain file of the overlay`,
        unit: 'MB/s',
        figures: rates(megabytes, seconds.ours),
        reference: { ...DISK, figures: rates(megabytes, seconds.disk) },
        target: targets ? { at_least: least } : undefined,
      }),
    );
  }
  const seconds = await interleaved(rounds, {
    ours: async (round) => await to(join(workers, `over ${round}`), some, SMALL, SEED.written + round),
    libfuse: async (round) => await to(join(libfuse, `over ${round}`), some, SMALL, SEED.written + round),
  });
  const megabytes = (some.length * SMALL) / 1e6;
  rows.push(
    compared({
      name: 'kernel: random write, 16 KiB, over a mapped file',
      unit: 'MB/s',
      figures: rates(megabytes, seconds.ours),
      reference: {
        name: 'driver fuse-native',
        stands_for: 'The same writes over the same file, through our other driver.',
        figures: rates(megabytes, seconds.libfuse),
      },
      target: targets ? { at_least: 2 } : undefined,
    }),
  );
  return rows;
}

async function listRows({ passthrough, disk }: Places, { rounds, files, targets }: KernelSizes): Promise<Row[]> {
  const find = async (folder: string): Promise<number> => {
    await sleep(SETTLED_MS);
    return await findSeconds(join(folder, 'tree'));
  };
  const seconds = await interleaved(rounds, {
    ours: async () => await find(passthrough),
    disk: async () => await find(disk),
  });
  return [
    compared({
      name: `kernel: find over ${files.toLocaleString('en')} files`,
      unit: 's',
      figures: seconds.ours,
      reference: { ...DISK, figures: seconds.disk },
      target: targets ? { at_most: 2.5 } : undefined,
    }),
  ];
}

function split(list: readonly number[], parts: number): number[][] {
  return range(parts).map((i) => list.slice((i * list.length) / parts, ((i + 1) * list.length) / parts));
}

function extentsOf(bytes: number): { length: number; source: number; sourceOffset: number }[] {
  const bounds = [...range(EXTENTS).map((i) => Math.floor((i * bytes) / EXTENTS)), bytes];
  return range(EXTENTS).map((i) => {
    const [from = 0, to = 0] = [bounds[i], bounds[i + 1]];
    return { length: to - from, source: 1, sourceOffset: from + (i + 1) * INSERTED };
  });
}
