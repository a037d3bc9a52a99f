import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { silentLogger } from '../../../src/logger.ts';
import { loadBorrowedReads } from '../../../src/native/borrowed-reads.ts';
import { openCLibrary } from '../../../src/native/c-library.ts';
import { LentReads, MOVED_BYTES } from '../../../src/vfs/lending/lent-reads.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { BASE, Volume } from '../volume.ts';
import { BLOCK, CUT, type Model, OPERATIONS } from './model.ts';

const COULD_NOT = -1;

/** Reads lent files of a volume in this thread. */
function readerOf(volume: Volume): (ino: number, position: number, length: number) => Buffer | undefined {
  const buffer = Buffer.allocUnsafeSlow(65_536);
  const calls = loadBorrowedReads(openCLibrary(silentLogger), buffer);
  assert.ok(calls !== undefined);
  const reads = new LentReads(volume.files.lending.table, calls, buffer, 0);
  return (ino, position, length) => {
    buffer.fill(0xee);
    const got = reads.read(ino, position, length, 0);
    const from = reads.isMoved ? MOVED_BYTES : 0;
    return got === COULD_NOT ? undefined : Buffer.from(buffer.subarray(from, from + got));
  };
}

it('lends files after they were read, with sources, zeros, gaps and written blocks', async (t) => {
  const volume = await Volume.open(temporaryFolder('lending'));
  t.after(async () => await volume.close());
  const read = readerOf(volume);
  await volume.write('T/mixed', Buffer.alloc(4096, 7), 4096);
  const bytes = Buffer.from(BASE['T/mixed']!);
  bytes.fill(7, 4096, 8192);
  const ino = volume.ino('T/mixed');
  assert.equal(read(ino, 0, 100), undefined);
  const handle = await volume.open('T/mixed', 0);
  await volume.readHandle(handle, bytes.length);
  for (let at = 0; at < bytes.length; at += 1237) {
    assert.deepEqual(read(ino, at, 5000), bytes.subarray(at, at + 5000), `at ${at}`);
  }
  assert.equal(read(ino, bytes.length, 1), undefined);
  assert.equal(read(ino + 4096, 0, 100), undefined);
  const { reads } = volume.files.lending.counts;
  assert.equal(reads, Math.ceil(bytes.length / 1237));
  await volume.files.release(handle);
  assert.equal(read(ino, 0, 100), undefined, 'nothing is lent of a file that is closed');
});

it('lends plain files, and leaves reads at their ends to the owner', async (t) => {
  const volume = await Volume.open(temporaryFolder('lending'));
  t.after(async () => await volume.close());
  const read = readerOf(volume);
  const ino = await volume.create('T/new', Buffer.alloc(10_000, 5));
  const handle = await volume.open('T/new');
  await volume.readHandle(handle, 10_000);
  assert.deepEqual(read(ino, 100, 200), Buffer.alloc(200, 5));
  await volume.files.write(handle, Buffer.alloc(100, 6), 150);
  assert.equal(read(ino, 100, 200)?.[60], 6);
  assert.equal(read(ino, 9000, 4096), undefined);
  await volume.truncate('T/new', 120);
  assert.equal(read(ino, 100, 200), undefined);
  await volume.files.release(handle);
});

it('gives no bytes of a source that was changed in place, nor of one that was closed or doubted', async (t) => {
  const volume = await Volume.open(temporaryFolder('lending'));
  t.after(async () => await volume.close());
  const read = readerOf(volume);
  const ino = volume.ino('T/whole');
  const handle = await volume.open('T/whole', 0);
  const id = [...volume.store.sourcesOf(ino)][0]!;
  const lend = async (): Promise<void> => {
    // A file is lent again after a while.
    await assert.doesNotReject(async () => {
      while (read(ino, 0, 100) === undefined) {
        await new Promise((go) => setTimeout(go, 5));
        await volume.readHandle(handle, 100);
      }
    });
  };
  await lend();
  volume.files.closeSource(id);
  assert.equal(read(ino, 0, 100), undefined, 'closed');
  await lend();
  const file = volume.files.openSource(id)!;
  file.doubt = 1;
  assert.equal(read(ino, 0, 100), undefined, 'doubted');
  file.doubt = 0;
  await lend();
  const bytes = readFileSync(volume.source);
  writeFileSync(volume.source, Buffer.alloc(bytes.length, 1));
  assert.equal(read(ino, 0, 100), undefined, 'changed');
  writeFileSync(volume.source, bytes);
  utimesSync(volume.source, 1e9, 1e9);
  await volume.files.release(handle);
});

it('gives readers in other threads what was acknowledged, while files are written, truncated and closed', async (t) => {
  const folder = temporaryFolder('lending');
  const volume = await Volume.open(folder);
  t.after(async () => await volume.close());
  const blocks = 4;
  const [names, readers] = [['T/gap', 'T/new'], 2];
  await volume.create('T/new', Buffer.alloc(blocks * BLOCK));
  await volume.truncate('T/gap', blocks * BLOCK);
  const inodes = names.map((name) => volume.ino(name));
  const handles = await Promise.all(names.map(async (name) => await volume.open(name)));
  const all = inodes.length * blocks;
  const shared = (count: number): Int32Array<SharedArrayBuffer> => new Int32Array(new SharedArrayBuffer(count * 4));
  const model: Omit<Model, 'reader'> = {
    inodes,
    blocks,
    table: volume.files.lending.table,
    history: shared(all * OPERATIONS),
    begun: shared(all),
    ended: shared(all),
    control: shared(2 + readers),
  };
  const { history, begun, ended, control } = model;
  const failures: Error[] = [];
  const threads = Array.from({ length: readers }, (_, reader) => {
    const thread = new Worker(new URL('./reader.js', import.meta.url), { workerData: { ...model, reader } });
    thread.on('error', (error: Error) => void failures.push(error));
    return { thread, ends: once(thread, 'exit') };
  });
  /** A change that gives each of some blocks a number. */
  const change = async (touched: readonly number[], value: number, work: () => unknown): Promise<void> => {
    for (const at of touched) {
      history[at * OPERATIONS + begun[at]! + 1] = value;
      Atomics.add(begun, at, 1);
    }
    await work();
    for (const at of touched) Atomics.add(ended, at, 1);
  };
  const isEnough = (): boolean => Array.from({ length: readers }, (_, i) => control[2 + i]!).every((n) => n >= 300);
  try {
    for (let n = 1; (n < 1500 || !isEnough()) && n < OPERATIONS / 4 - 1 && failures.length === 0; n++) {
      const file = n % names.length;
      const block = (n * 5) % blocks;
      const [name, handle] = [names[file]!, handles[file]!];
      if (n % 23 === 0) {
        const from = 1 + (n % (blocks - 1));
        const cut = Array.from({ length: blocks - from }, (_, i) => file * blocks + from + i);
        await change(cut, CUT, async () => await volume.truncate(name, from * BLOCK));
        await change(cut, 0, async () => await volume.truncate(name, blocks * BLOCK));
      } else {
        const bytes = Buffer.from(new Int32Array(BLOCK / 4).fill(n).buffer);
        await change([file * blocks + block], n, async () => await volume.files.write(handle, bytes, block * BLOCK));
      }
      // Read again, which lends it, after the pause that follows a loan.
      if (n % 10 === 0) {
        await new Promise((go) => setTimeout(go, 25));
        for (const each of handles) await volume.readHandle(each, blocks * BLOCK);
        await new Promise((go) => setTimeout(go, 1));
      }
    }
  } finally {
    Atomics.store(control, 0, 1);
    for (const { ends } of threads) await ends;
  }
  assert.deepEqual(failures, []);
  assert.ok(isEnough(), `reads that were lent: ${control.subarray(2).join(', ')}`);
  for (const handle of handles) await volume.files.release(handle);
});
