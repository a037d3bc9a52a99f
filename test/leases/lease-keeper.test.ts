/** Leases on real file systems, and real programs that want to write. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { LeaseKeeper, type LeaseKeeperOptions } from '../../src/leases/lease-keeper.ts';
import { BREAK_MS } from '../../src/leases/protocol.ts';
import { silentLogger } from '../../src/logger.ts';
import { openCLibrary } from '../../src/native/c-library.ts';
import { loadWriterCalls } from '../../src/native/writers.ts';
import { waitUntil } from '../harness/daemon.ts';
import { makeFileSystem, type TestFileSystem } from '../harness/file-systems.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { type Opening, Writer } from '../harness/writer.ts';
import { WHOLE } from '../survival/setting.ts';

const run = promisify(execFile);
const library = openCLibrary(silentLogger);

/** Opens random files for writing, in eight threads, until its input ends. Prints how often, and the longest wait in seconds. */
const WRITERS = `
import os, random, sys, threading, time
folder, names = sys.argv[1], os.listdir(sys.argv[1])
count, longest, ended = 0, 0.0, False
def write():
    global count, longest
    while not ended:
        began = time.monotonic()
        os.close(os.open(os.path.join(folder, random.choice(names)), os.O_WRONLY))
        longest = max(longest, time.monotonic() - began)
        count += 1
threads = [threading.Thread(target=write) for _ in range(8)]
for thread in threads: thread.start()
sys.stdin.read()
ended = True
for thread in threads: thread.join()
print(count, longest)
`;

/** A keeper that remembers what it was told. */
class Kept {
  readonly keeper: LeaseKeeper;
  readonly wanted: number[] = [];
  readonly late: number[] = [];
  readonly changes: string[] = [];
  #onWanted: (fd: number) => void = () => {};

  constructor(options?: LeaseKeeperOptions) {
    const keeper = LeaseKeeper.start(library, silentLogger, options);
    assert.ok(keeper);
    this.keeper = keeper;
    keeper.listen({
      onWanted: (fds) => {
        this.wanted.push(...fds);
        for (const fd of fds) this.#onWanted(fd);
      },
      onLate: (fds) => void this.late.push(...fds),
      onGone: () => void this.changes.push('gone'),
      onBack: () => void this.changes.push('back'),
    });
  }

  whenWanted(work: (fd: number) => void): void {
    this.#onWanted = work;
  }
}

for (const kind of ['ext4', 'xfs', 'btrfs'] as const) {
  describe(`leases on ${kind}`, { skip: NEEDS_ROOT }, () => {
    let disk: TestFileSystem;
    let path: string;
    let kept: Kept;
    let file: fs.FileHandle;
    const writers: Writer[] = [];
    const start = async (how: Opening = 'writes', at = path): Promise<Writer> => {
      const writer = await Writer.start(at, how);
      writers.push(writer);
      return writer;
    };
    const wanted = async (): Promise<void> => await waitUntil('a writer', async () => kept.wanted.length > 0);

    before(async () => {
      disk = await makeFileSystem(kind, temporaryFolder('leases'));
    });
    beforeEach(async () => {
      path = join(disk.path, 'file');
      await fs.writeFile(path, 'the old bytes');
      kept = new Kept();
      file = await fs.open(path);
      assert.equal(await kept.keeper.take(file.fd), 'held');
    });
    afterEach(async () => {
      await kept.keeper.forget(file.fd);
      await file.close();
      await kept.keeper.close();
      for (const writer of writers.splice(0)) await writer.close();
    });
    after(async () => await disk?.close());

    it('holds a writer up until the lease is given back', async () => {
      const writer = await start();
      await wanted();
      await sleep(300);
      assert.equal(writer.waits, true);
      assert.equal(await fs.readFile(path, 'utf8'), 'the old bytes');
      kept.keeper.giveBack(file.fd);
      const opened = await writer.opened();
      assert.ok('seconds' in opened && opened.seconds >= 0.3 && opened.seconds < 2, JSON.stringify(opened));
      assert.deepEqual([kept.wanted, kept.late], [[file.fd], []]);
    });

    for (const how of ['O_TRUNC', 'truncate'] as const) {
      it(`holds ${how} up`, async () => {
        const writer = await start(how);
        await wanted();
        assert.equal((await file.stat()).size, 13);
        kept.keeper.giveBack(file.fd);
        await writer.opened();
        assert.ok((await file.stat()).size < 13);
      });
    }

    it('refuses a writer that does not wait, at once', async () => {
      assert.deepEqual(await (await start('O_NONBLOCK')).opened(), { errno: 11 });
      await wanted();
      kept.keeper.giveBack(file.fd);
    });

    it('is not wanted by who reads, touches, renames or deletes', async () => {
      await run('cat', [path]);
      await fs.utimes(path, 1, 1);
      await fs.chmod(path, 0o600);
      await fs.rename(path, `${path} 2`);
      await fs.rm(`${path} 2`);
      await sleep(100);
      assert.deepEqual(kept.wanted, []);
    });

    it('is not had while somebody has the file open for writing, and is afterwards', async () => {
      const other = join(disk.path, 'other');
      await fs.writeFile(other, 'bytes');
      const writer = await start('nothing', other);
      await writer.opened();
      const reading = await fs.open(other);
      assert.equal(await kept.keeper.take(reading.fd), 'busy');
      await writer.close();
      assert.equal(await kept.keeper.take(reading.fd), 'held');
      // Who asks if there is a writer needs a lease, too.
      const asking = await fs.open(other);
      assert.equal(loadWriterCalls(library)?.hasNoWriter(asking.fd), true);
      await asking.close();
      await sleep(50);
      assert.deepEqual(kept.wanted, []);
      const next = await start('writes', other);
      await wanted();
      assert.deepEqual(kept.wanted, [reading.fd]);
      await kept.keeper.forget(reading.fd);
      await next.opened();
      await reading.close();
    });

    const takesLong = kind === 'ext4' || WHOLE ? false : 'SURVIVAL=whole';
    it('lets a writer go after five seconds, also while the loop is busy', { skip: takesLong }, async () => {
      const writer = await start();
      const until = performance.now() + BREAK_MS + 1000;
      // As a server that does not get to its messages.
      while (performance.now() < until);
      const opened = await writer.opened();
      const seconds = BREAK_MS / 1000;
      assert.ok('seconds' in opened && opened.seconds > seconds - 0.5 && opened.seconds < seconds + 0.7);
      await waitUntil('it is told', async () => kept.late.length > 0);
      assert.deepEqual([kept.wanted, kept.late], [[file.fd], [file.fd]]);
    });

    it('lets a writer go when the keeper ends', async () => {
      const writer = await start();
      await wanted();
      await kept.keeper.close();
      assert.ok('seconds' in (await writer.opened()));
      assert.equal(await kept.keeper.take(file.fd), 'none');
    });

    it('lets a writer go when the thread of the keeper fails, and takes leases in another one', async () => {
      const failing = new Kept({ script: new URL('./failing-worker.js', import.meta.url), pauses: [10, 10] });
      const other = join(disk.path, 'other');
      await fs.writeFile(other, 'bytes');
      const reading = await fs.open(other);
      // It takes the lease, and fails when it is asked for anything more.
      assert.equal(await failing.keeper.take(reading.fd), 'held');
      const writer = await start('writes', other);
      await sleep(300);
      assert.equal(writer.waits, true);
      await failing.keeper.forget(reading.fd);
      const opened = await writer.opened();
      assert.ok('seconds' in opened && opened.seconds < 2, JSON.stringify(opened));
      await waitUntil('another thread', async () => failing.changes.includes('back'));
      assert.deepEqual(failing.changes, ['gone', 'back']);
      await writer.close();
      assert.equal(await failing.keeper.take(reading.fd), 'held');
      await failing.keeper.close();
      assert.deepEqual(failing.changes, ['gone', 'back']);
      await reading.close();
    });

    it('hears of a writer though the queue of signals is full', async () => {
      const limit = async (value: string): Promise<void> => {
        await run('prlimit', [`--pid=${process.pid}`, `--sigpending=${value}`]);
      };
      const { stdout } = await run('prlimit', [`--pid=${process.pid}`, '--sigpending', '--noheadings', '-o', 'SOFT']);
      await limit('0:');
      try {
        const writer = await start();
        await wanted();
        kept.keeper.giveBack(file.fd);
        await writer.opened();
      } finally {
        await limit(`${stdout.trim()}:`);
      }
    });

    it('is not ended by the signals of leases that go astray', async () => {
      for (const signal of [40, 29]) process.kill(process.pid, signal);
      await sleep(50);
      const writer = await start();
      await wanted();
      kept.keeper.giveBack(file.fd);
      await writer.opened();
    });
  });
}

it('keeps descriptors apart whose numbers are given again while writers come', { skip: NEEDS_ROOT }, async (t) => {
  const disk = await makeFileSystem('ext4', temporaryFolder('leases'));
  t.after(async () => await disk.close());
  const folder = join(disk.path, 'files');
  await fs.mkdir(folder);
  const names = Array.from({ length: 64 }, (_, i) => join(folder, `${i}`));
  for (const name of names) await fs.writeFile(name, 'bytes');
  const kept = new Kept();
  t.after(async () => await kept.keeper.close());
  /** The open files, by descriptor. */
  const open = new Map<number, fs.FileHandle>();
  let strange = 0;
  kept.whenWanted((fd) => {
    if (!open.has(fd)) strange++;
    setTimeout(() => kept.keeper.giveBack(fd), Math.random() * 5);
  });
  const writers = spawn('python3', ['-c', WRITERS, folder], { stdio: ['pipe', 'pipe', 'inherit'] });
  const until = performance.now() + (WHOLE ? 60_000 : 5000);
  const user = async (): Promise<void> => {
    while (performance.now() < until) {
      const file = await fs.open(names[Math.floor(Math.random() * names.length)]!);
      open.set(file.fd, file);
      const taking = kept.keeper.take(file.fd);
      if (Math.random() < 0.5) await taking;
      await sleep(Math.random() * 20);
      const forgotten = kept.keeper.forget(file.fd);
      if (forgotten !== undefined) await forgotten;
      open.delete(file.fd);
      await file.close();
      // The number is taken by what is no source.
      await (await fs.open(disk.path)).close();
    }
  };
  await Promise.all(Array.from({ length: 16 }, user));
  const text = once(writers.stdout, 'data');
  writers.stdin.end();
  const [count = 0, longest = 0] = String(await text)
    .split(' ')
    .map(Number);
  t.diagnostic(`${count} writers, ${kept.wanted.length} of them held up, ${longest} s at most`);
  assert.deepEqual([strange, kept.late], [0, []]);
  assert.ok(kept.wanted.length > 100 && longest < 2, `${kept.wanted.length} leases were wanted, ${longest} s`);
});
