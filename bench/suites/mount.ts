/**
 * Reads through the mount beside a bare FUSE pass-through and the disk itself, interleaved in one run.
 *
 * The sources are in the page cache, and FUSE's own cache is cold: without kernel_cache each open drops a file's pages. The
 * kernel caches names and attributes for a second, so each `find` waits for that second. This process uses the mounts and
 * serves none.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { PlanFile } from '../../src/plan/plan.ts';
import { writeDataFile } from '../data/known-bytes.ts';
import { MIB, positions, range, read, shuffled } from '../lib/access.ts';
import { type EntryContents, fillStore, planFile } from '../lib/filled-store.ts';
import { residentMegabytes } from '../lib/process-memory.ts';
import { interleaved, rates } from '../lib/rounds.ts';
import { absolute, compared, type Row } from '../lib/row.ts';
import { type Servers, withServers } from '../lib/servers.ts';
import { secondsOf } from '../lib/setting.ts';
import { type Setting, sized } from '../lib/suite.ts';
import { DISK } from '../references/disk.ts';
import { findSeconds } from '../references/find.ts';
import { PASSTHROUGH } from '../references/passthrough.ts';
import { kernelRows } from './mount-kernel.ts';

const SIZES = {
  full: {
    bytes: 256 * MIB,
    rounds: 7,
    randomReads: 4000,
    files: 10_000,
    entries: 10,
    entryFiles: 100_000,
    targets: true,
  },
  small: { bytes: 8 * MIB, rounds: 3, randomReads: 100, files: 200, entries: 3, entryFiles: 1_000, targets: false },
};
type Sizes = (typeof SIZES)['full'];
const PER_FOLDER = 100;
const RANDOM_BYTES = 16_384;
/** The kernel caches names and attributes for a second. */
const FORGOTTEN_MS = 1100;
const run = promisify(execFile);

export async function benchMount(setting: Setting): Promise<Row[]> {
  const sizes = sized(setting, SIZES);
  return await withServers(async (base, servers) => [
    ...(await readRows(base, servers, sizes)),
    ...(await largeStoreRows(base, servers, sizes)),
    ...(await kernelRows(base, join(base, 'disk'), servers, sizes)),
  ]);
}

async function readRows(base: string, servers: Servers, sizes: Sizes): Promise<Row[]> {
  const { bytes, rounds, randomReads, files, targets } = sizes;
  const disk = join(base, 'disk');
  const [ours, bare] = [join(base, 'ours'), join(base, 'bare')];
  await mkdir(bare);
  writeTree(disk, bytes, files);
  await fillStore(join(base, 'state'), [entry('E', files, join(disk, 'large'), bytes)]);
  await servers.start('ours', join(base, 'state'), ours);
  await servers.start('passthrough', disk, bare);

  const places = { ours: join(ours, 'E'), bare, disk };
  const all = positions(bytes, MIB);
  const quarters = range(4).map((i) => all.slice((i * all.length) / 4, ((i + 1) * all.length) / 4));
  const random = shuffled(positions(bytes, RANDOM_BYTES)).slice(0, randomReads);
  const large = { length: MIB, scratch: base };
  const jobs: readonly {
    name: string;
    unit: string;
    work: number;
    readonly job: (place: string) => Promise<number>;
  }[] = [
    {
      name: 'sequential read, 1 MiB',
      unit: 'MB/s',
      work: bytes / 1e6,
      job: async (place) => await read([{ ...large, path: join(place, 'large'), positions: all }]),
    },
    {
      name: 'sequential read, 4 readers',
      unit: 'MB/s',
      work: bytes / 1e6,
      job: async (place) =>
        await read(quarters.map((positions) => ({ ...large, path: join(place, 'large'), positions }))),
    },
    {
      name: 'random read, 16 KiB',
      unit: 'MB/s',
      work: (randomReads * RANDOM_BYTES) / 1e6,
      job: async (place) =>
        await read([{ path: join(place, 'large'), positions: random, length: RANDOM_BYTES, scratch: base }]),
    },
    {
      name: `find over ${files.toLocaleString('en')} files`,
      unit: 'files/s',
      work: files,
      job: async (place) => {
        await sleep(FORGOTTEN_MS);
        return await findSeconds(join(place, 'tree'));
      },
    },
  ];
  const rows: Row[] = [];
  for (const { name, unit, work, job } of jobs) {
    const seconds = await interleaved(rounds, {
      ours: async () => await job(places.ours),
      bare: async () => await job(places.bare),
      disk: async () => await job(places.disk),
    });
    const figures = rates(work, seconds.ours);
    const [bareFigures, diskFigures] = [rates(work, seconds.bare), rates(work, seconds.disk)];
    const target = targets ? { at_least: 0.9 } : undefined;
    rows.push(
      compared({ name, unit, figures, reference: { ...PASSTHROUGH, figures: bareFigures }, target }),
      compared({ name: `${name}, beside the disk`, unit, figures, reference: { ...DISK, figures: diskFigures } }),
    );
  }
  return rows;
}

async function largeStoreRows(base: string, servers: Servers, sizes: Sizes): Promise<Row[]> {
  const { bytes, entries, entryFiles, targets } = sizes;
  const state = join(base, 'large-state');
  const mountPoint = join(base, 'large');
  const source = join(base, 'disk', 'large');
  await fillStore(
    state,
    range(entries).map((i) => entry(`E${i}`, entryFiles, source, bytes)),
  );
  const times: number[] = [];
  const memory: number[] = [];
  for (let round = 0; round < 5; round++) {
    let server: Awaited<ReturnType<Servers['start']>> | undefined;
    let listed = '';
    const seconds = await secondsOf(async () => {
      server = await servers.start('ours', state, mountPoint);
      listed = (await run('ls', [mountPoint])).stdout;
    });
    times.push(seconds);
    if (listed.trim().split('\n').length !== entries) throw new Error('ls does not show every entry');
    if (server === undefined) throw new Error('no server');
    if (round === 0) {
      await findSeconds(join(mountPoint, 'E0'));
      memory.push(residentMegabytes(server.pid));
    }
    await servers.stop(server);
  }
  return [
    absolute({
      name: `mount to first ls, ${(entries * entryFiles).toLocaleString('en')} files`,
      unit: 's',
      figures: times,
      target: targets ? { at_most: 0.5 } : undefined,
    }),
    absolute({
      name: `server RSS after find over ${entryFiles.toLocaleString('en')} files`,
      unit: 'MB',
      figures: memory,
      target: targets ? { at_most: 200 } : undefined,
    }),
  ];
}

/** Writes a large file, and a tree of small ones. */
function writeTree(folder: string, bytes: number, files: number): void {
  mkdirSync(folder);
  writeDataFile(join(folder, 'large'), bytes, 1);
  for (let i = 0; i < files; i++) {
    const parent = join(folder, 'tree', `folder ${Math.floor(i / PER_FOLDER)}`);
    if (i % PER_FOLDER === 0) mkdirSync(parent, { recursive: true });
    writeFileSync(join(parent, `file ${i}`), '.');
  }
}

/** Makes an entry that shows `source` whole as `large`, and `files` parts of it as a tree. */
function entry(name: string, files: number, source: string, bytes: number): EntryContents {
  return { name, sources: [source], files: planFiles(files, bytes), totalLength: bytes + files, verified: false };
}

function* planFiles(count: number, bytes: number): Generator<PlanFile, void, undefined> {
  yield planFile(['large'], bytes, 0);
  for (let i = 0; i < count; i++) {
    yield planFile(['tree', `folder ${Math.floor(i / PER_FOLDER)}`, `file ${i}`], 1, 0, i % bytes);
  }
}
