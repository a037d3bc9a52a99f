/**
 * Reads through the mount beside a bare fuse-native pass-through and the disk itself, in one run, interleaved.
 *
 * The sources are in the page cache, the FUSE cache is cold: without kernel_cache each open drops a file's pages, and
 * names and attributes are believed for a second, which is waited for before each `find`. This process uses the mounts
 * and serves none.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { PlanFile } from '../../src/plan/plan.ts';
import { writeDataFile } from '../data/known-bytes.ts';
import {
  type EntryContents,
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
} from '../lib/mounts.ts';
import { type BenchRow, median } from '../lib/row.ts';

const FILE_BYTES = 256 * MIB;
const ROUNDS = 7;
const RANDOM_READS = 4000;
const SMALL_FILES = 10_000;
const PER_FOLDER = 100;
const LARGE_ENTRIES = 10;
const LARGE_ENTRY_FILES = 100_000;
const run = promisify(execFile);

export async function benchMount(): Promise<BenchRow[]> {
  return await withServers(async (base, servers) => [
    ...(await benchReads(base, servers)),
    ...(await benchLargeStore(base, servers)),
  ]);
}

async function benchReads(base: string, servers: Servers): Promise<BenchRow[]> {
  const disk = join(base, 'disk');
  const [ours, bare] = [join(base, 'ours'), join(base, 'bare')];
  await mkdir(bare);
  writeTree(disk);
  await fillStore(join(base, 'state'), [entry('E', SMALL_FILES, join(disk, 'large'))]);
  await servers.start('store-server.js', join(base, 'state'), ours);
  await servers.start('../references/passthrough.js', disk, bare);

  const places = { ours: join(ours, 'E'), bare, disk };
  const all = positions(FILE_BYTES, MIB);
  const quarters = range(4).map((i) => all.slice((i * all.length) / 4, ((i + 1) * all.length) / 4));
  const random = shuffled(positions(FILE_BYTES, 16384)).slice(0, RANDOM_READS);
  const jobs: Record<string, (place: string) => Promise<number>> = {
    'sequential read, 1 MiB': async (place) =>
      await read([{ path: join(place, 'large'), positions: all, length: MIB, scratch: base }]),
    'sequential read, 4 readers': async (place) =>
      await read(quarters.map((positions) => ({ path: join(place, 'large'), positions, length: MIB, scratch: base }))),
    'random read, 16 KiB': async (place) =>
      await read([{ path: join(place, 'large'), positions: random, length: 16384, scratch: base }]),
    'find over 10,000 files': async (place) => {
      await sleep(1100);
      return await find(join(place, 'tree'));
    },
  };
  const rows: BenchRow[] = [];
  for (const [name, job] of Object.entries(jobs)) {
    const seconds = await interleaved(ROUNDS, {
      ours: async () => await job(places.ours),
      bare: async () => await job(places.bare),
      disk: async () => await job(places.disk),
    });
    const work = name.startsWith('find')
      ? SMALL_FILES
      : (name.startsWith('random') ? RANDOM_READS * 16384 : FILE_BYTES) / 1e6;
    const unit = name.startsWith('find') ? 'files/s' : 'MB/s';
    rows.push(rowOf(name, unit, work / seconds.ours, 'bare pass-through', work / seconds.bare, '≥ 0.9'));
    rows.push(rowOf(name, unit, work / seconds.ours, 'disk', work / seconds.disk, ''));
  }
  return rows;
}

async function benchLargeStore(base: string, servers: Servers): Promise<BenchRow[]> {
  const state = join(base, 'large-state');
  const mountPoint = join(base, 'large');
  const source = join(base, 'disk', 'large');
  await fillStore(
    state,
    range(LARGE_ENTRIES).map((i) => entry(`E${i}`, LARGE_ENTRY_FILES, source)),
  );
  const times: number[] = [];
  let rss = 0;
  for (let round = 0; round < 5; round++) {
    const began = performance.now();
    const server = await servers.start('store-server.js', state, mountPoint);
    const { stdout } = await run('ls', [mountPoint]);
    times.push((performance.now() - began) / 1000);
    if (stdout.trim().split('\n').length !== LARGE_ENTRIES) throw new Error('ls does not show every entry');
    if (round === 0) {
      await find(join(mountPoint, 'E3'));
      const status = readFileSync(`/proc/${server.pid}/status`, 'utf8');
      rss = (Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024) / 1e6;
    }
    await servers.stop(server);
  }
  return [
    { name: 'mount to first ls, 1,000,000 files', value: median(times), unit: 's', reference: '', target: '≤ 0.5 s' },
    { name: 'server RSS after find over 100,000', value: rss, unit: 'MB', reference: '', target: '≤ 200 MB' },
  ];
}

/** A large file, and a tree of small ones. */
function writeTree(folder: string): void {
  mkdirSync(folder);
  writeDataFile(join(folder, 'large'), FILE_BYTES, 1);
  for (let i = 0; i < SMALL_FILES; i++) {
    const parent = join(folder, 'tree', `folder ${Math.floor(i / PER_FOLDER)}`);
    if (i % PER_FOLDER === 0) mkdirSync(parent, { recursive: true });
    writeFileSync(join(parent, `file ${i}`), '.');
  }
}

/** An entry that shows `source` whole as `large`, and `files` parts of it as a tree. */
function entry(name: string, files: number, source: string): EntryContents {
  return { name, sources: [source], files: planFiles(files), totalLength: FILE_BYTES + files, verified: false };
}

function* planFiles(count: number): Generator<PlanFile, void, undefined> {
  yield planFile(['large'], FILE_BYTES, 0);
  for (let i = 0; i < count; i++) {
    yield planFile(['tree', `folder ${Math.floor(i / PER_FOLDER)}`, `file ${i}`], 1, 0, i % FILE_BYTES);
  }
}

async function find(folder: string): Promise<number> {
  const began = performance.now();
  await run('find', [folder, '-printf', '%s\n'], { maxBuffer: 2 ** 26 });
  return (performance.now() - began) / 1000;
}
