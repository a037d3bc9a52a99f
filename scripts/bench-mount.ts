/**
 * Reads through the mount beside a bare fuse-native pass-through and the disk itself, in one run, interleaved.
 *
 * The sources are in the page cache, the FUSE cache is cold: without kernel_cache each open drops a file's pages, and
 * names and attributes are believed for a second, which is waited for before each `find`. This process uses the mounts
 * and serves none.
 */
import { type ChildProcess, execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { Level } from 'level';
import { silentLogger } from '../src/logger.ts';
import type { PlanFile, PlanSource } from '../src/plan/plan.ts';
import { Store } from '../src/store/store.ts';
import type { ReadJob } from './bench-reader.ts';
import { type BenchRow, median } from './bench-row.ts';

const MIB = 2 ** 20;
const FILE_BYTES = 256 * MIB;
const ROUNDS = 7;
const RANDOM_READS = 4000;
const SMALL_FILES = 10_000;
const PER_FOLDER = 100;
const LARGE_ENTRIES = 10;
const LARGE_ENTRY_FILES = 100_000;
const run = promisify(execFile);

export async function benchMount(): Promise<BenchRow[]> {
  const base = await mkdtemp(join(tmpdir(), 'autotorrent-bench-'));
  const servers: ChildProcess[] = [];
  try {
    return [...(await benchReads(base, servers)), ...(await benchLargeStore(base, servers))];
  } finally {
    for (const server of servers) await stop(server);
    await rm(base, { recursive: true, force: true });
  }
}

async function benchReads(base: string, servers: ChildProcess[]): Promise<BenchRow[]> {
  const disk = join(base, 'disk');
  const [ours, bare] = [join(base, 'ours'), join(base, 'bare')];
  await mkdir(bare);
  writeTree(disk);
  await fillStore(join(base, 'state'), [{ name: 'E', files: SMALL_FILES, source: join(disk, 'large') }]);
  servers.push(await start('bench-store-server.js', join(base, 'state'), ours));
  servers.push(await start('bench-passthrough.js', disk, bare));

  const places = { ours: join(ours, 'E'), bare, disk };
  const all = range(FILE_BYTES / MIB).map((i) => i * MIB);
  const quarters = range(4).map((i) => all.slice((i * all.length) / 4, ((i + 1) * all.length) / 4));
  const random = shuffled(FILE_BYTES / 16384).slice(0, RANDOM_READS);
  const jobs: Record<string, (place: string) => Promise<number>> = {
    'sequential read, 1 MiB': async (place) =>
      await read([{ path: join(place, 'large'), positions: all, length: MIB }]),
    'sequential read, 4 readers': async (place) =>
      await read(quarters.map((positions) => ({ path: join(place, 'large'), positions, length: MIB }))),
    'random read, 16 KiB': async (place) =>
      await read([{ path: join(place, 'large'), positions: random.map((i) => i * 16384), length: 16384 }]),
    'find over 10,000 files': async (place) => {
      await sleep(1100);
      return await find(join(place, 'tree'));
    },
  };
  const rows: BenchRow[] = [];
  for (const [name, job] of Object.entries(jobs)) {
    const times = { ours: [] as number[], bare: [] as number[], disk: [] as number[] };
    for (let round = 0; round < ROUNDS; round++) {
      const order = round % 2 === 0 ? (['ours', 'bare', 'disk'] as const) : (['bare', 'ours', 'disk'] as const);
      for (const place of order) times[place].push(await job(places[place]));
    }
    const work = name.startsWith('find')
      ? SMALL_FILES
      : (name.startsWith('random') ? RANDOM_READS * 16384 : FILE_BYTES) / 1e6;
    const unit = name.startsWith('find') ? 'files/s' : 'MB/s';
    const [value, reference, native] = [times.ours, times.bare, times.disk].map((list) => work / median(list));
    rows.push(row(name, unit, value ?? 0, 'bare pass-through', reference ?? 0, '≥ 0.9'));
    rows.push(row(name, unit, value ?? 0, 'disk', native ?? 0, ''));
  }
  return rows;
}

async function benchLargeStore(base: string, servers: ChildProcess[]): Promise<BenchRow[]> {
  const state = join(base, 'large-state');
  const mountPoint = join(base, 'large');
  const source = join(base, 'disk', 'large');
  await fillStore(
    state,
    range(LARGE_ENTRIES).map((i) => ({ name: `E${i}`, files: LARGE_ENTRY_FILES, source })),
  );
  const times: number[] = [];
  let rss = 0;
  for (let round = 0; round < 5; round++) {
    const began = performance.now();
    const server = await start('bench-store-server.js', state, mountPoint);
    servers.push(server);
    const { stdout } = await run('ls', [mountPoint]);
    times.push((performance.now() - began) / 1000);
    if (stdout.trim().split('\n').length !== LARGE_ENTRIES) throw new Error('ls does not show every entry');
    if (round === 0) {
      await find(join(mountPoint, 'E3'));
      const status = readFileSync(`/proc/${server.pid}/status`, 'utf8');
      rss = (Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024) / 1e6;
    }
    await stop(server);
  }
  return [
    { name: 'mount to first ls, 1,000,000 files', value: median(times), unit: 's', reference: '', target: '≤ 0.5 s' },
    { name: 'server RSS after find over 100,000', value: rss, unit: 'MB', reference: '', target: '≤ 200 MB' },
  ];
}

function row(name: string, unit: string, value: number, reference: string, theirs: number, target: string): BenchRow {
  return { name, value, unit, reference: `${reference}: ${theirs.toFixed(0)} ${unit}`, ratio: value / theirs, target };
}

/** A large file, and a tree of small ones. */
function writeTree(folder: string): void {
  mkdirSync(folder);
  const fd = openSync(join(folder, 'large'), 'w');
  for (let i = 0; i < FILE_BYTES / MIB; i++) writeSync(fd, Buffer.alloc(MIB, i + 1));
  closeSync(fd);
  for (let i = 0; i < SMALL_FILES; i++) {
    const parent = join(folder, 'tree', `folder ${Math.floor(i / PER_FOLDER)}`);
    if (i % PER_FOLDER === 0) mkdirSync(parent, { recursive: true });
    writeFileSync(join(parent, `file ${i}`), '.');
  }
}

/** Entries that show `source` whole as `large`, and `files` parts of it as a tree. */
async function fillStore(
  statePath: string,
  entries: readonly { readonly name: string; readonly files: number; readonly source: string }[],
): Promise<void> {
  await mkdir(statePath, { recursive: true });
  const level = new Level<Buffer, Buffer>(join(statePath, 'store'), { keyEncoding: 'buffer', valueEncoding: 'buffer' });
  await level.open();
  const store = await Store.open(level, { logger: silentLogger, statePath });
  for (const [i, { name, files, source }] of entries.entries()) {
    const { dev, ino, size, mtimeMs } = await stat(source);
    const sources: PlanSource[] = [{ path: Buffer.from(source), dev, ino, size, mtimeMs, spares: [] }];
    await store.createEntry({
      name,
      sources,
      files: planFiles(files, size, mtimeMs),
      totalLength: size + files,
      missingBytes: 0,
      infoHash: i.toString(16).padStart(40, '0'),
      metainfo: Buffer.from('de'),
      verify: 'none',
      pieceCount: 1,
      pieceLength: MIB,
      verified: Buffer.alloc(1),
    });
  }
  await store.close();
  await level.close();
}

function* planFiles(count: number, size: number, mtimeMs: number): Generator<PlanFile, void, undefined> {
  const file = (path: readonly string[], length: number, sourceOffset: number): PlanFile => ({
    path,
    length,
    status: 'mapped',
    mode: 'normal',
    mtimeMs,
    executable: false,
    extents: [{ offset: 0, length, source: 0, sourceOffset }],
  });
  yield file(['large'], size, 0);
  for (let i = 0; i < count; i++) {
    yield file(['tree', `folder ${Math.floor(i / PER_FOLDER)}`, `file ${i}`], 1, i % size);
  }
}

async function start(script: string, ...args: readonly string[]): Promise<ChildProcess> {
  const server = fork(fileURLToPath(new URL(script, import.meta.url)), args, {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  await new Promise<void>((resolve, reject) => {
    server.once('message', () => resolve());
    server.once('exit', () => reject(new Error(`${script} could not mount`)));
  });
  return server;
}

async function stop(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  server.kill('SIGTERM');
  await once(server, 'exit');
}

/** Seconds from the first reader's start to the last one's end. */
async function read(jobs: readonly ReadJob[]): Promise<number> {
  const workers = jobs.map((workerData) => new Worker(new URL('bench-reader.js', import.meta.url), { workerData }));
  try {
    await Promise.all(workers.map(async (worker) => await once(worker, 'message')));
    const results = workers.map(async (worker) => {
      const [result]: { readonly began: number; readonly ended: number }[] = await once(worker, 'message');
      if (result === undefined) throw new Error('a reader ended without a result');
      return result;
    });
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, no window
    for (const worker of workers) worker.postMessage('go');
    const spans = await Promise.all(results);
    return (Math.max(...spans.map((s) => s.ended)) - Math.min(...spans.map((s) => s.began))) / 1000;
  } finally {
    for (const worker of workers) await worker.terminate();
  }
}

async function find(folder: string): Promise<number> {
  const began = performance.now();
  await run('find', [folder, '-printf', '%s\n'], { maxBuffer: 2 ** 26 });
  return (performance.now() - began) / 1000;
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** 0 to count - 1 in an order that is the same in every run. */
function shuffled(count: number): number[] {
  const list = range(count);
  let state = 1;
  for (let i = count - 1; i > 0; i--) {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    const j = state % (i + 1);
    [list[i], list[j]] = [list[j] ?? 0, list[i] ?? 0];
  }
  return list;
}
