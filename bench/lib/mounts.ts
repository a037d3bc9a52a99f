/** What the benchmarks of the mount share: stores filled without matching, servers, and work on the mounts. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { Level } from 'level';
import { GAP } from '../../src/extent/extent.ts';
import { mountsAt } from '../../src/fuse/mounting/mount-point.ts';
import { unmount } from '../../src/fuse/mounting/unmount.ts';
import { silentLogger } from '../../src/logger.ts';
import { loadLibc } from '../../src/native/libc.ts';
import type { PlanFile, PlanSource } from '../../src/plan/plan.ts';
import { Store } from '../../src/store/store.ts';
import type { ProbeRange } from '../references/probe.ts';
import type { ReadJob } from './reader.ts';
import { type BenchRow, median } from './row.ts';
import type { WriteJob } from './writer.ts';

export const MIB = 2 ** 20;

/** The processes that serve, of one benchmark: whatever happens, no mount is left. */
export class Servers {
  readonly #running = new Set<ChildProcess>();
  readonly #mountPoints = new Set<string>();

  /** Waits until the script has mounted: what lies in `folder`, a state folder of ours or any folder for the other. */
  async start(
    script: 'store-server.js' | '../references/passthrough.js',
    folder: string,
    mountPoint: string,
  ): Promise<ChildProcess> {
    const server = fork(fileURLToPath(new URL(script, import.meta.url)), [folder, mountPoint], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#running.add(server);
    this.#mountPoints.add(mountPoint);
    await new Promise<void>((resolve, reject) => {
      server.once('message', () => resolve());
      server.once('exit', () => reject(new Error(`${script} could not mount`)));
    });
    return server;
  }

  /** SIGTERM ends a server in order; SIGKILL does not, and leaves the mount behind. */
  async stop(server: ChildProcess, signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    this.#running.delete(server);
    if (server.exitCode !== null || server.signalCode !== null) return;
    server.kill(signal);
    await once(server, 'exit');
  }

  async stopAll(): Promise<void> {
    for (const server of this.#running) await this.stop(server);
    const libc = loadLibc(silentLogger);
    for (const path of this.#mountPoints) if ((await mountsAt(path)).length > 0) await unmount(path, libc);
  }
}

/** Hands a benchmark a folder and servers; both are gone afterwards. */
export async function withServers<T>(work: (base: string, servers: Servers) => Promise<T>): Promise<T> {
  const base = await mkdtemp(join(tmpdir(), 'autotorrent-bench-'));
  const servers = new Servers();
  try {
    return await work(base, servers);
  } finally {
    await servers.stopAll();
    await rm(base, { recursive: true, force: true });
  }
}

export interface EntryContents {
  readonly name: string;
  /** Paths. The files' extents name them by index. */
  readonly sources: readonly string[];
  readonly files: Iterable<PlanFile>;
  readonly totalLength: number;
  /** All of it was hashed and agreed; else nothing was. */
  readonly verified: boolean;
}

export async function fillStore(statePath: string, entries: readonly EntryContents[]): Promise<void> {
  const level = new Level<Buffer, Buffer>(join(statePath, 'store'), { keyEncoding: 'buffer', valueEncoding: 'buffer' });
  await level.open();
  const store = await Store.open(level, { logger: silentLogger, statePath });
  for (const [i, { name, sources, files, totalLength, verified }] of entries.entries()) {
    const pieceCount = Math.ceil(totalLength / MIB);
    await store.createEntry({
      name,
      sources: await Promise.all(sources.map(planSource)),
      files,
      totalLength,
      missingBytes: 0,
      infoHash: i.toString(16).padStart(40, '0'),
      metainfo: Buffer.from('de'),
      verify: verified ? 'full' : 'none',
      pieceCount,
      pieceLength: MIB,
      verified: verified ? bitfieldOf(pieceCount) : Buffer.alloc(Math.ceil(pieceCount / 8)),
    });
  }
  await store.close();
  await level.close();
}

/** All of them are set; what the last byte has more is not. */
function bitfieldOf(pieces: number): Buffer {
  const bits = Buffer.alloc(Math.ceil(pieces / 8), 0xff);
  if (pieces % 8 !== 0) bits[bits.length - 1] = (0xff << (8 - (pieces % 8))) & 0xff;
  return bits;
}

async function planSource(path: string): Promise<PlanSource> {
  const { dev, ino, size, mtimeMs } = await stat(path);
  return { path: Buffer.from(path), dev, ino, size, mtimeMs, spares: [] };
}

/** A file of one extent: of a source from an offset on, or all of it a gap. */
export function planFile(path: readonly string[], length: number, source: number, sourceOffset = 0): PlanFile {
  return {
    path,
    length,
    status: source === GAP ? 'missing' : 'mapped',
    mode: source === GAP ? 'none' : 'normal',
    mtimeMs: 1_700_000_000_000,
    executable: false,
    extents: [{ offset: 0, length, source, sourceOffset }],
  };
}

/** Seconds from the first reader's start to the last one's end. */
export async function read(jobs: readonly ReadJob[]): Promise<number> {
  return await timed('reader.js', jobs);
}

/** Seconds, without the fsync that follows. */
export async function write(job: WriteJob): Promise<number> {
  return await timed('writer.js', [job]);
}

/** Reads and hashes ranges, each list in a thread of its own. */
export async function probe(lists: readonly (readonly ProbeRange[])[]): Promise<number> {
  return await timed('../references/probe.js', lists);
}

async function timed(script: string, jobs: readonly (ReadJob | WriteJob | readonly ProbeRange[])[]): Promise<number> {
  const workers = jobs.map((workerData) => new Worker(new URL(script, import.meta.url), { workerData }));
  try {
    await Promise.all(workers.map(async (worker) => await once(worker, 'message')));
    const results = workers.map(async (worker) => {
      const [result]: { readonly began: number; readonly ended: number }[] = await once(worker, 'message');
      if (result === undefined) throw new Error(`${script} ended without a result`);
      return result;
    });
    for (const worker of workers) worker.postMessage('go');
    const spans = await Promise.all(results);
    return (Math.max(...spans.map((s) => s.ended)) - Math.min(...spans.map((s) => s.began))) / 1000;
  } finally {
    for (const worker of workers) await worker.terminate();
  }
}

/**
 * The median of each case's figures. In every round each case has its turn, and the one that begins is another, so that
 * what else the machine does hits them alike.
 */
export async function interleaved<Case extends string>(
  rounds: number,
  cases: Readonly<Record<Case, (round: number) => Promise<number>>>,
): Promise<Record<Case, number>> {
  const names = Object.keys(cases) as Case[];
  const figures = new Map<Case, number[]>(names.map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    const first = round % names.length;
    for (const name of [...names.slice(first), ...names.slice(0, first)]) {
      figures.get(name)?.push(await cases[name](round));
    }
  }
  if (process.env['AUTOTORRENT_BENCH_FIGURES'] !== undefined) {
    for (const [name, list] of figures) {
      process.stderr.write(`${name}: ${list.map((figure) => figure.toPrecision(3)).join(' ')}\n`);
    }
  }
  return Object.fromEntries(names.map((name) => [name, median(figures.get(name) ?? [])])) as Record<Case, number>;
}

export function rowOf(
  name: string,
  unit: string,
  value: number,
  reference: string,
  theirs: number,
  target: string,
): BenchRow {
  return { name, value, unit, reference: `${reference}: ${theirs.toFixed(0)} ${unit}`, ratio: value / theirs, target };
}

export function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** The beginnings of a file's parts of `length` bytes. */
export function positions(bytes: number, length: number): number[] {
  return range(Math.floor(bytes / length)).map((i) => i * length);
}

/** In an order that is the same in every run. */
export function shuffled(list: readonly number[]): number[] {
  const result = [...list];
  let state = 1;
  for (let i = result.length - 1; i > 0; i--) {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    const j = state % (i + 1);
    [result[i], result[j]] = [result[j] ?? 0, result[i] ?? 0];
  }
  return result;
}
