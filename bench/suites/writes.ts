/**
 * Writes through the mount beside a bare FUSE pass-through over the same disk, interleaved in one run.
 *
 * The measurement ends before the fsync, on both sides. This process uses the mounts and serves none.
 */
import { execFile } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readSync, rmSync } from 'node:fs';
import { lstat, readdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { GAP } from '../../src/extent/extent.ts';
import type { PlanFile } from '../../src/plan/plan.ts';
import { dataOf, writeDataFile } from '../data/known-bytes.ts';
import { MIB, positions, range, read, shuffled, write } from '../lib/access.ts';
import { fillStore, planFile } from '../lib/filled-store.ts';
import { peakMegabytes } from '../lib/process-memory.ts';
import { interleaved, rates } from '../lib/rounds.ts';
import { absolute, compared, type Row, type Target } from '../lib/row.ts';
import { type Servers, withServers } from '../lib/servers.ts';
import { type Setting, sized } from '../lib/suite.ts';
import { DISK } from '../references/disk.ts';
import { MAPPED_FILE } from '../references/mapped-file.ts';
import { PASSTHROUGH } from '../references/passthrough.ts';

const GIB = 2 ** 30;
const SMALL = 16_384;
const BLOCK = 4096;
/** One block in every so many bytes is written, in thousands of places of a file. */
const SPACING = 6 * BLOCK;
const SIZES = {
  full: {
    bytes: 256 * MIB,
    identicalBytes: GIB,
    rounds: 9,
    randomWrites: 8192,
    randomReads: 4000,
    ranges: 10_000,
    targets: true,
  },
  small: {
    bytes: 8 * MIB,
    identicalBytes: 8 * MIB,
    rounds: 3,
    randomWrites: 256,
    randomReads: 100,
    ranges: 300,
    targets: false,
  },
};
type Sizes = (typeof SIZES)['full'];
const run = promisify(execFile);

/** Seeds of the data (`data/known-bytes.ts`). Each round writes other bytes than are there. */
const SEED = { source: 1, identical: 2, ordinary: 3, written: 10, rewritten: 30 };

export async function benchWrites(setting: Setting): Promise<Row[]> {
  const sizes = sized(setting, SIZES);
  return await withServers(async (base, servers) => {
    const places = await serve(base, servers, sizes);
    return [
      ...(await sequentialRows(places, sizes)),
      ...(await randomRows(places, sizes)),
      ...(await rangeRows(places, sizes)),
      ...(await identicalRows(places, sizes)),
      ...(await largeOverlayRows(places, servers, setting)),
    ];
  });
}

/** Folders. */
interface Places {
  readonly base: string;
  readonly disk: string;
  readonly state: string;
  /** In our mount: the folder of an entry that is mapped and verified, and of one that is a gap. */
  readonly ours: string;
  readonly gaps: string;
  /** `disk`, through the pass-through. */
  readonly bare: string;
}

async function serve(base: string, servers: Servers, { bytes, identicalBytes, rounds }: Sizes): Promise<Places> {
  const [disk, state, ours, bare] = ['disk', 'state', 'ours', 'bare'].map((name) => join(base, name)) as [
    string,
    string,
    string,
    string,
  ];
  mkdirSync(disk);
  mkdirSync(bare);
  const [source, identical] = [join(disk, 'source'), join(disk, 'identical')];
  writeDataFile(source, bytes, SEED.source);
  writeDataFile(identical, identicalBytes, SEED.identical);
  writeDataFile(join(disk, 'ordinary'), bytes, SEED.ordinary);
  const gaps = range(rounds).map((round) => planFile([`${round}`], bytes, GAP));
  const mapped = [
    ...range(rounds).map((round) => planFile([`mapped ${round}`], bytes, 0)),
    ...['rewritten', 'ranges', 'mapped'].map((name) => planFile([name], bytes, 0)),
    planFile(['identical'], identicalBytes, 1),
  ];
  const sum = (files: readonly PlanFile[]): number => files.reduce((total, file) => total + file.length, 0);
  await fillStore(state, [
    { name: 'E', sources: [source, identical], files: mapped, totalLength: sum(mapped), verified: true },
    { name: 'G', sources: [], files: gaps, totalLength: sum(gaps), verified: false },
  ]);
  await servers.start('ours', state, ours);
  await servers.start('passthrough', disk, bare);
  return { base, disk, state, ours: join(ours, 'E'), gaps: join(ours, 'G'), bare };
}

async function sequentialRows({ base, disk, ours, gaps, bare }: Places, sizes: Sizes): Promise<Row[]> {
  const { bytes, rounds, targets } = sizes;
  const all = positions(bytes, MIB);
  const writeTo = async (path: string, round: number, create: boolean): Promise<number> => {
    const seed = SEED.written + round;
    const seconds = await write({ path, positions: all, length: MIB, seed, create, scratch: base });
    check(path, shuffled(all).slice(0, 32), MIB, seed);
    return seconds;
  };
  const writeNew = async (folder: string, round: number): Promise<number> => {
    const path = join(folder, `new ${round}`);
    const seconds = await writeTo(path, round, true);
    rmSync(path);
    return seconds;
  };
  const seconds = await interleaved(rounds, {
    'new, ours': async (round) => await writeNew(ours, round),
    'new, bare': async (round) => await writeNew(bare, round),
    'gap, ours': async (round) => await writeTo(join(gaps, `${round}`), round, false),
    'new, disk': async (round) => await writeNew(disk, round),
  });
  const speeds = (name: keyof typeof seconds): number[] => rates(bytes / 1e6, seconds[name]);
  const passthrough = { ...PASSTHROUGH, figures: speeds('new, bare') };
  const target: Target | undefined = targets ? { at_least: 0.7 } : undefined;
  const [unit, name] = ['MB/s', 'sequential write, 1 MiB'];
  const figures = speeds('new, ours');
  return [
    compared({ name: `${name}, new file`, unit, figures, reference: passthrough, target }),
    compared({ name: `${name}, gap`, unit, figures: speeds('gap, ours'), reference: passthrough, target }),
    compared({
      name: `${name}, new file, beside the disk`,
      unit,
      figures,
      reference: { ...DISK, figures: speeds('new, disk') },
    }),
  ];
}

async function randomRows({ base, disk, ours, bare }: Places, sizes: Sizes): Promise<Row[]> {
  const { bytes, rounds, randomWrites, targets } = sizes;
  const some = shuffled(positions(bytes, SMALL)).slice(0, randomWrites);
  const writeTo = async (path: string, seed: number): Promise<number> => {
    const seconds = await write({ path, positions: some, length: SMALL, seed, create: false, scratch: base });
    check(path, some.slice(0, 256), SMALL, seed);
    return seconds;
  };
  await writeTo(join(ours, 'rewritten'), SEED.rewritten);
  const seconds = await interleaved(rounds, {
    'mapped, ours': async (round) => await writeTo(join(ours, `mapped ${round}`), SEED.written + round),
    'ordinary, bare': async (round) => await writeTo(join(bare, 'ordinary'), SEED.written + round),
    'rewritten, ours': async (round) => await writeTo(join(ours, 'rewritten'), SEED.written + round),
    'ordinary, disk': async (round) => await writeTo(join(disk, 'ordinary'), SEED.rewritten + round),
  });
  check(join(disk, 'source'), positions(bytes, MIB), MIB, SEED.source);
  const speeds = (name: keyof typeof seconds): number[] => rates((some.length * SMALL) / 1e6, seconds[name]);
  const passthrough = { ...PASSTHROUGH, figures: speeds('ordinary, bare') };
  const target: Target | undefined = targets ? { at_least: 0.6 } : undefined;
  const [unit, name] = ['MB/s', 'random write, 16 KiB'];
  const figures = speeds('mapped, ours');
  return [
    compared({ name: `${name}, mapped verified file`, unit, figures, reference: passthrough, target }),
    compared({
      name: `${name}, overlaid already`,
      unit,
      figures: speeds('rewritten, ours'),
      reference: passthrough,
      target,
    }),
    compared({
      name: `${name}, mapped verified file, beside the disk`,
      unit,
      figures,
      reference: { ...DISK, figures: speeds('ordinary, disk') },
    }),
  ];
}

async function rangeRows({ base, ours }: Places, sizes: Sizes): Promise<Row[]> {
  const { bytes, rounds, ranges, randomReads, targets } = sizes;
  const [overlaid, mapped] = [join(ours, 'ranges'), join(ours, 'mapped')];
  const blocks = range(ranges).map((i) => i * SPACING);
  const seed = SEED.written;
  await write({ path: overlaid, positions: shuffled(blocks), length: BLOCK, seed, create: false, scratch: base });
  check(overlaid, blocks, BLOCK, seed);
  const all = positions(bytes, MIB);
  const some = shuffled(positions(bytes, SMALL)).slice(0, randomReads);
  const seconds = await interleaved(rounds, {
    'sequential, overlaid': async () => await read([{ path: overlaid, positions: all, length: MIB, scratch: base }]),
    'sequential, mapped': async () => await read([{ path: mapped, positions: all, length: MIB, scratch: base }]),
    'random, overlaid': async () => await read([{ path: overlaid, positions: some, length: SMALL, scratch: base }]),
    'random, mapped': async () => await read([{ path: mapped, positions: some, length: SMALL, scratch: base }]),
  });
  return (['sequential', 'random'] as const).map((kind) => {
    const megabytes = (kind === 'sequential' ? bytes : some.length * SMALL) / 1e6;
    const length = kind === 'random' ? '16 KiB' : '1 MiB';
    return compared({
      name: `${kind} read, ${length}, ${ranges.toLocaleString('en')} written ranges`,
      unit: 'MB/s',
      figures: rates(megabytes, seconds[`${kind}, overlaid`]),
      reference: { ...MAPPED_FILE, figures: rates(megabytes, seconds[`${kind}, mapped`]) },
      target: targets ? { at_least: 0.7 } : undefined,
    });
  });
}

async function identicalRows({ base, state, ours }: Places, sizes: Sizes): Promise<Row[]> {
  const { identicalBytes, targets } = sizes;
  const path = join(ours, 'identical');
  const all = positions(identicalBytes, MIB);
  const before = await overlayBytes(state);
  const seconds = await interleaved(5, {
    write: async () =>
      await write({ path, positions: all, length: MIB, seed: SEED.identical, create: false, scratch: base }),
    read: async () => await read([{ path, positions: all, length: MIB, scratch: base }]),
  });
  const taken = (await overlayBytes(state)) - before;
  check(path, shuffled(all).slice(0, 64), MIB, SEED.identical);
  const megabytes = identicalBytes / 1e6;
  return [
    compared({
      name: `writing the same bytes over ${identicalBytes / MIB} MiB that are mapped`,
      unit: 'MB/s',
      figures: rates(megabytes, seconds.write),
      reference: {
        name: 'reading it',
        stands_for: 'Reading the same file through the mount: a write of equal bytes has to read what is there.',
        figures: rates(megabytes, seconds.read),
      },
      target: targets ? { at_least: 0.5 } : undefined,
    }),
    absolute({
      name: 'disk taken by the same bytes',
      unit: 'bytes',
      figures: [taken],
      target: { at_most: 0 },
      exact: true,
    }),
  ];
}

/**
 * A store of its own: the memory of the server that wrote it, and the time to open it afterwards. AUTOTORRENT_BENCH_GIB is
 * the number of GiB to write; by default as many as there is room for.
 */
async function largeOverlayRows({ base }: Places, servers: Servers, setting: Setting): Promise<Row[]> {
  const { bavail, bsize } = await statfs(base);
  const byRoom = bavail * bsize >= 25 * GIB ? 10 : 2;
  const gib = setting.size === 'small' ? 1 / 64 : Number(process.env['AUTOTORRENT_BENCH_GIB'] ?? byRoom);
  const [state, mountPoint] = [join(base, 'large-state'), join(base, 'large')];
  const path = join(mountPoint, 'E', 'large');
  const bytes = gib * GIB;
  await fillStore(state, [
    { name: 'E', sources: [], files: [planFile(['large'], bytes, GAP)], totalLength: bytes, verified: false },
  ]);
  const server = await servers.start('ours', state, mountPoint);
  const some = shuffled(positions(bytes, SMALL));
  const seed = SEED.written;
  const seconds = await write({
    path,
    positions: some,
    length: SMALL,
    seed,
    create: false,
    scratch: base,
    sync: false,
  });
  const memory = peakMegabytes(server.pid);
  await servers.stop(server, 'SIGKILL');

  const startToLs = async (statePath: string, look: () => void = () => {}): Promise<number> => {
    const began = performance.now();
    const again = await servers.start('ours', statePath, mountPoint);
    await run('ls', [mountPoint]);
    const elapsed = (performance.now() - began) / 1000;
    look();
    await servers.stop(again);
    return elapsed;
  };
  const afterKill = await startToLs(state, () => check(path, some.slice(-1000), SMALL, seed));
  const empty = join(base, 'empty-state');
  await fillStore(empty, []);
  const starts = await interleaved(5, {
    written: async () => await startToLs(state),
    empty: async () => await startToLs(empty),
  });
  rmSync(state, { recursive: true });
  const name = `${gib} GiB in random order of 16 KiB`;
  const target = (bound: number): Target | undefined => (setting.size === 'full' ? { at_most: bound } : undefined);
  return [
    absolute({ name, unit: 'MB/s', figures: [bytes / 1e6 / seconds] }),
    absolute({ name: `${name}: server RSS`, unit: 'MB', figures: [memory], target: target(300) }),
    absolute({
      name: `${name}, kill -9: start to ls`,
      unit: 's',
      figures: [afterKill],
      note: 'LevelDB syncs when it opens, so this may wait until the disk has taken what lies dirty in the page cache.',
    }),
    absolute({ name: `${name}: start to ls`, unit: 's', figures: starts.written, target: target(0.5) }),
    absolute({ name: 'an empty store: start to ls', unit: 's', figures: starts.empty }),
  ];
}

/** @throws Error if the mount gives other bytes than were written: its figures are worthless then */
function check(path: string, at: readonly number[], length: number, seed: number): void {
  const data = dataOf(seed);
  const fd = openSync(path, 'r');
  const buffer = Buffer.alloc(length);
  for (const position of at) {
    if (readSync(fd, buffer, 0, length, position) !== length || !buffer.equals(data(position, length))) {
      throw new Error(`${path} does not hold at ${position} what was written`);
    }
  }
  closeSync(fd);
}

/** Counts the bytes that the overlay's files take on the disk, without the journal, which comes and goes. */
async function overlayBytes(state: string): Promise<number> {
  const entries = await readdir(join(state, 'overlay'), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && !entry.name.startsWith('journal-'));
  const stats = await Promise.all(files.map(async (file) => await lstat(join(file.parentPath, file.name))));
  return stats.reduce((sum, { blocks }) => sum + blocks * 512, 0);
}
