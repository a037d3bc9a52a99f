/**
 * Writes through the mount beside a bare fuse-native pass-through over the same disk, in one run, interleaved.
 *
 * Neither side syncs within what is measured, and both do behind it. This process uses the mounts and serves none.
 */
import { execFile } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, readSync, rmSync } from 'node:fs';
import { lstat, readdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { GAP } from '../../src/extent/extent.ts';
import type { PlanFile } from '../../src/plan/plan.ts';
import { dataOf, writeDataFile } from '../data/known-bytes.ts';
import {
  fillStore,
  interleaved,
  MIB,
  planFile,
  positions,
  range,
  read,
  rowOf,
  type Servers,
  shuffled,
  withServers,
  write,
} from '../lib/mounts.ts';
import type { BenchRow } from '../lib/row.ts';

const GIB = 2 ** 30;
const FILE_BYTES = 256 * MIB;
const IDENTICAL_BYTES = GIB;
const ROUNDS = 9;
const SMALL = 16_384;
const RANDOM_WRITES = 8192;
const RANDOM_READS = 4000;
/** One block is written of every so many, in 10,000 places of a file. */
const RANGES = 10_000;
const BLOCK = 4096;
const SPACING = 6 * BLOCK;
const BARE = 'bare pass-through';
const run = promisify(execFile);

/** Seeds of the data: see `data/known-bytes.ts`. What a round writes differs from what was written before. */
const SEED = { source: 1, identical: 2, ordinary: 3, written: 10, rewritten: 30 };

export async function benchWrites(): Promise<BenchRow[]> {
  return await withServers(async (base, servers) => {
    const places = await serve(base, servers);
    return [
      ...(await benchSequential(places)),
      ...(await benchRandom(places)),
      ...(await benchRanges(places)),
      ...(await benchIdentical(places)),
      ...(await benchLargeOverlay(places, servers)),
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

async function serve(base: string, servers: Servers): Promise<Places> {
  const [disk, state, ours, bare] = ['disk', 'state', 'ours', 'bare'].map((name) => join(base, name)) as [
    string,
    string,
    string,
    string,
  ];
  mkdirSync(disk);
  mkdirSync(bare);
  const [source, identical] = [join(disk, 'source'), join(disk, 'identical')];
  writeDataFile(source, FILE_BYTES, SEED.source);
  writeDataFile(identical, IDENTICAL_BYTES, SEED.identical);
  writeDataFile(join(disk, 'ordinary'), FILE_BYTES, SEED.ordinary);
  const gaps = range(ROUNDS).map((round) => planFile([`${round}`], FILE_BYTES, GAP));
  const mapped = [
    ...range(ROUNDS).map((round) => planFile([`mapped ${round}`], FILE_BYTES, 0)),
    ...['rewritten', 'ranges', 'mapped'].map((name) => planFile([name], FILE_BYTES, 0)),
    planFile(['identical'], IDENTICAL_BYTES, 1),
  ];
  const bytes = (files: readonly PlanFile[]): number => files.reduce((sum, file) => sum + file.length, 0);
  await fillStore(state, [
    { name: 'E', sources: [source, identical], files: mapped, totalLength: bytes(mapped), verified: true },
    { name: 'G', sources: [], files: gaps, totalLength: bytes(gaps), verified: false },
  ]);
  await servers.start('store-server.js', state, ours);
  await servers.start('../references/passthrough.js', disk, bare);
  return { base, disk, state, ours: join(ours, 'E'), gaps: join(ours, 'G'), bare };
}

async function benchSequential({ base, disk, ours, gaps, bare }: Places): Promise<BenchRow[]> {
  const all = positions(FILE_BYTES, MIB);
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
  const seconds = await interleaved(ROUNDS, {
    'new, ours': async (round) => await writeNew(ours, round),
    'new, bare': async (round) => await writeNew(bare, round),
    'gap, ours': async (round) => await writeTo(join(gaps, `${round}`), round, false),
    'new, disk': async (round) => await writeNew(disk, round),
  });
  const speed = (name: keyof typeof seconds): number => FILE_BYTES / 1e6 / seconds[name];
  return [
    rowOf('sequential write, 1 MiB, new file', 'MB/s', speed('new, ours'), BARE, speed('new, bare'), '≥ 0.7'),
    rowOf('sequential write, 1 MiB, gap', 'MB/s', speed('gap, ours'), BARE, speed('new, bare'), '≥ 0.7'),
    rowOf('sequential write, 1 MiB, new file', 'MB/s', speed('new, ours'), 'disk', speed('new, disk'), ''),
  ];
}

async function benchRandom({ base, disk, ours, bare }: Places): Promise<BenchRow[]> {
  const some = shuffled(positions(FILE_BYTES, SMALL)).slice(0, RANDOM_WRITES);
  const writeTo = async (path: string, seed: number): Promise<number> => {
    const seconds = await write({ path, positions: some, length: SMALL, seed, create: false, scratch: base });
    check(path, some.slice(0, 256), SMALL, seed);
    return seconds;
  };
  await writeTo(join(ours, 'rewritten'), SEED.rewritten);
  const seconds = await interleaved(ROUNDS, {
    'mapped, ours': async (round) => await writeTo(join(ours, `mapped ${round}`), SEED.written + round),
    'ordinary, bare': async (round) => await writeTo(join(bare, 'ordinary'), SEED.written + round),
    'rewritten, ours': async (round) => await writeTo(join(ours, 'rewritten'), SEED.written + round),
    'ordinary, disk': async (round) => await writeTo(join(disk, 'ordinary'), SEED.rewritten + round),
  });
  check(join(disk, 'source'), positions(FILE_BYTES, MIB), MIB, SEED.source);
  const speed = (name: keyof typeof seconds): number => (RANDOM_WRITES * SMALL) / 1e6 / seconds[name];
  const [bareSpeed, over] = [speed('ordinary, bare'), 'random write, 16 KiB'];
  return [
    rowOf(`${over}, mapped verified file`, 'MB/s', speed('mapped, ours'), BARE, bareSpeed, '≥ 0.6'),
    rowOf(`${over}, overlaid already`, 'MB/s', speed('rewritten, ours'), BARE, bareSpeed, '≥ 0.6'),
    rowOf(`${over}, mapped verified file`, 'MB/s', speed('mapped, ours'), 'disk', speed('ordinary, disk'), ''),
  ];
}

async function benchRanges({ base, ours }: Places): Promise<BenchRow[]> {
  const [overlaid, mapped] = [join(ours, 'ranges'), join(ours, 'mapped')];
  const blocks = range(RANGES).map((i) => i * SPACING);
  const seed = SEED.written;
  await write({ path: overlaid, positions: shuffled(blocks), length: BLOCK, seed, create: false, scratch: base });
  check(overlaid, blocks, BLOCK, seed);
  const all = positions(FILE_BYTES, MIB);
  const some = shuffled(positions(FILE_BYTES, SMALL)).slice(0, RANDOM_READS);
  const seconds = await interleaved(ROUNDS, {
    'sequential, overlaid': async () => await read([{ path: overlaid, positions: all, length: MIB, scratch: base }]),
    'sequential, mapped': async () => await read([{ path: mapped, positions: all, length: MIB, scratch: base }]),
    'random, overlaid': async () => await read([{ path: overlaid, positions: some, length: SMALL, scratch: base }]),
    'random, mapped': async () => await read([{ path: mapped, positions: some, length: SMALL, scratch: base }]),
  });
  return (['sequential', 'random'] as const).map((kind) => {
    const bytes = (kind === 'sequential' ? FILE_BYTES : RANDOM_READS * SMALL) / 1e6;
    const name = `${kind} read, ${kind === 'random' ? '16 KiB' : '1 MiB'}, 10,000 written ranges`;
    const [value, reference] = [bytes / seconds[`${kind}, overlaid`], bytes / seconds[`${kind}, mapped`]];
    return rowOf(name, 'MB/s', value, 'mapped file', reference, '≥ 0.7');
  });
}

async function benchIdentical({ base, state, ours }: Places): Promise<BenchRow[]> {
  const path = join(ours, 'identical');
  const all = positions(IDENTICAL_BYTES, MIB);
  const before = await overlayBytes(state);
  const seconds = await interleaved(5, {
    'identical write': async () =>
      await write({ path, positions: all, length: MIB, seed: SEED.identical, create: false, scratch: base }),
    'identical read': async () => await read([{ path, positions: all, length: MIB, scratch: base }]),
  });
  const speed = (name: keyof typeof seconds): number => IDENTICAL_BYTES / 1e6 / seconds[name];
  const taken = (await overlayBytes(state)) - before;
  check(path, shuffled(all).slice(0, 64), MIB, SEED.identical);
  return [
    rowOf(
      'writing the same bytes, 1 GiB mapped',
      'MB/s',
      speed('identical write'),
      'reading it',
      speed('identical read'),
      '≥ 0.5',
    ),
    { name: 'disk taken by the same bytes', value: taken, unit: 'bytes', reference: '', target: '≤ 0 bytes' },
  ];
}

/**
 * A store of its own: the memory of the server that wrote it, and opening it afterwards. So many GiB as
 * AUTOTORRENT_BENCH_GIB says, or as there is room for.
 */
async function benchLargeOverlay({ base }: Places, servers: Servers): Promise<BenchRow[]> {
  const { bavail, bsize } = await statfs(base);
  const gib = Number(process.env['AUTOTORRENT_BENCH_GIB'] ?? (bavail * bsize >= 25 * GIB ? 10 : 2));
  const [state, mountPoint] = [join(base, 'large-state'), join(base, 'large')];
  const path = join(mountPoint, 'E', 'large');
  const bytes = gib * GIB;
  await fillStore(state, [
    { name: 'E', sources: [], files: [planFile(['large'], bytes, GAP)], totalLength: bytes, verified: false },
  ]);
  const server = await servers.start('store-server.js', state, mountPoint);
  const some = shuffled(positions(bytes, SMALL));
  const seed = SEED.written;
  const job = { path, positions: some, length: SMALL, seed, create: false, scratch: base, sync: false };
  const seconds = await write(job);
  const rss = memoryPeak(server.pid);
  await servers.stop(server, 'SIGKILL');

  const startToLs = async (statePath: string, look: () => void = () => {}): Promise<number> => {
    const began = performance.now();
    const again = await servers.start('store-server.js', statePath, mountPoint);
    await run('ls', [mountPoint]);
    const seconds = (performance.now() - began) / 1000;
    look();
    await servers.stop(again);
    return seconds;
  };
  const afterKill = await startToLs(state, () => check(path, some.slice(-1000), SMALL, seed));
  const empty = join(base, 'empty-state');
  await fillStore(empty, []);
  const inOrder = await interleaved(5, {
    'start, written': async () => await startToLs(state),
    'start, empty': async () => await startToLs(empty),
  });
  rmSync(state, { recursive: true });
  const written = `${gib} GiB in random order of 16 KiB`;
  return [
    { name: written, value: bytes / 1e6 / seconds, unit: 'MB/s', reference: '', target: '' },
    { name: `${written}: server RSS`, value: rss, unit: 'MB', reference: '', target: '≤ 300 MB' },
    // It may have to wait until the disk has taken what lies dirty in the page cache: LevelDB syncs when it opens.
    { name: `${written}, kill -9: start to ls`, value: afterKill, unit: 's', reference: '', target: '' },
    {
      name: `${written}: start to ls`,
      value: inOrder['start, written'],
      unit: 's',
      reference: `an empty store: ${inOrder['start, empty'].toFixed(3)} s`,
      target: '≤ 0.5 s',
    },
  ];
}

/** Figures of a mount that gives other bytes than were written are worth nothing. */
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

/** What the overlay's files take on the disk. The journal, which comes and goes, is left out. */
async function overlayBytes(state: string): Promise<number> {
  const entries = await readdir(join(state, 'overlay'), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && !entry.name.startsWith('journal-'));
  const stats = await Promise.all(files.map(async (file) => await lstat(join(file.parentPath, file.name))));
  return stats.reduce((sum, { blocks }) => sum + blocks * 512, 0);
}

/** Megabytes. */
function memoryPeak(pid: number | undefined): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return (Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) * 1024) / 1e6;
}
