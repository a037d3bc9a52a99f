/** Open sources with leases: what reads get while another program has a source open for writing, and afterwards. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { LeaseKeeper } from '../../../src/leases/lease-keeper.ts';
import { silentLogger } from '../../../src/logger.ts';
import { openCLibrary } from '../../../src/native/c-library.ts';
import type { Hold } from '../../../src/source/held-sources.ts';
import { waitUntil } from '../../harness/daemon.ts';
import { makeFileSystem, type TestFileSystem } from '../../harness/file-systems.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { guardMount } from '../../harness/mount-guard.ts';
import { NEEDS_ROOT } from '../../harness/other-user.ts';
import { type Opening, Writer } from '../../harness/writer.ts';
import { writersAtOnce } from '../../harness/writers-at-once.ts';
import { WHOLE } from '../../survival/setting.ts';
import { content, Library } from './library.ts';

const PIECE = 16_384;
const FILM = content(1, 10 * PIECE);

/** A library with leases, and what happens to it. */
class Leased {
  readonly keeper: LeaseKeeper;
  /** Cases that were handed to the healer. */
  readonly cases: number[] = [];
  readonly unchanged: number[] = [];
  beforeWrite: (id: number) => Promise<void> = async () => {};
  /** How often a lease was tried. */
  tries = 0;
  readonly writers: Writer[] = [];
  #lib: Library | undefined;
  #handle: number | undefined;

  constructor() {
    const keeper = LeaseKeeper.start(openCLibrary(silentLogger), silentLogger);
    assert.ok(keeper);
    this.keeper = keeper;
  }

  get lib(): Library {
    assert.ok(this.#lib);
    return this.#lib;
  }

  /** Default: a source is closed with its last reader. */
  async make(
    base: string,
    hold: Hold = { most: 0 },
    files: Readonly<Record<string, Buffer>> = { film: FILM },
  ): Promise<void> {
    const { keeper } = this;
    const note = (id: number): void => void this.cases.push(id);
    this.#lib = await Library.make({
      files,
      base,
      hold,
      queue: { note, urgent: note, awaits: () => 'is settled by nobody' },
      leases: {
        leases: {
          listen: (listener) => keeper.listen(listener),
          take: async (fd) => {
            this.tries++;
            return await keeper.take(fd);
          },
          giveBack: (fd) => keeper.giveBack(fd),
          forget: (fd) => keeper.forget(fd),
        },
        beforeWrite: async (id) => await this.beforeWrite(id),
        unchanged: (id) => void this.unchanged.push(id),
      },
    });
    // The record is of a time before the tick of the clock.
    await sleep(20);
  }

  get held(): number {
    return this.lib.volume.fileSystem.leaseCounts?.held ?? 0;
  }

  get state(): string {
    return this.lib.state('film');
  }

  /** Opens the film as a client does, and waits for the lease. */
  async open(): Promise<number> {
    const handle = await this.lib.openFile('film');
    await this.lib.readHandle(handle, 100);
    await waitUntil('the lease', async () => this.held === 1);
    this.#handle = handle;
    return handle;
  }

  async release(): Promise<void> {
    if (this.#handle !== undefined) await this.lib.volume.fileSystem.release(this.#handle);
    this.#handle = undefined;
  }

  async write(how: Opening = 'writes'): Promise<Writer> {
    const writer = await Writer.start(this.lib.source('film'), how);
    this.writers.push(writer);
    return writer;
  }

  async close(): Promise<void> {
    for (const writer of this.writers) await writer.close();
    await this.release();
    await this.lib.close();
    await this.keeper.close();
  }
}

for (const kind of ['ext4', 'xfs', 'btrfs'] as const) {
  describe(`a source with a lease, on ${kind}`, { skip: NEEDS_ROOT }, () => {
    let disk: TestFileSystem;
    let leased: Leased;
    before(async () => {
      disk = await makeFileSystem(kind, temporaryFolder('leased'));
    });
    beforeEach(async () => {
      leased = new Leased();
      await leased.make(disk.path);
    });
    afterEach(async () => await leased.close());
    after(async () => await disk?.close());

    /** Reads a piece. Undefined if it cannot be read. */
    const read = async (handle: number, piece: number): Promise<Buffer | undefined> =>
      await leased.lib.readHandle(handle, PIECE, piece * PIECE).catch(() => undefined);
    const right = (piece: number): Buffer => FILM.subarray(piece * PIECE, (piece + 1) * PIECE);

    it('is written to only when what would be lost is kept, and doubted before', async () => {
      const handle = await leased.open();
      assert.equal(leased.state, 'trusted');
      let keep: () => void = () => {};
      let kept = Buffer.alloc(0);
      leased.beforeWrite = async () => {
        await new Promise<void>((resolve) => {
          keep = resolve;
        });
        kept = fs.readFileSync(leased.lib.source('film'));
      };
      const writer = await leased.write();
      await waitUntil('the doubt', async () => leased.state === 'doubted');
      assert.equal(leased.lib.volume.fileSystem.leaseCounts?.wanted, 1);
      const hashed = leased.lib.hashed;
      assert.deepEqual(await read(handle, 5), right(5));
      assert.equal(leased.lib.hashed > hashed, true);
      assert.equal(writer.waits, true);
      keep();
      await writer.opened();
      assert.deepEqual(kept, FILM);
      await waitUntil('the write', async () =>
        fs.readFileSync(leased.lib.source('film'), 'latin1').startsWith('written'),
      );
      assert.equal(await read(handle, 0), undefined);
      for (let piece = 1; piece < 10; piece++) assert.deepEqual(await read(handle, piece), right(piece));
      await writer.close();
      await waitUntil('its case', async () => leased.cases.length > 0);
      await sleep(300);
      assert.notEqual(leased.state, 'trusted');
      assert.deepEqual(leased.unchanged, []);
    });

    it('is trusted again when whoever opened it has changed nothing', async () => {
      const handle = await leased.open();
      const writer = await leased.write('nothing');
      await writer.opened();
      assert.equal(leased.state, 'doubted');
      await sleep(300);
      assert.deepEqual([leased.state, leased.held], ['doubted', 0]);
      await writer.close();
      await waitUntil('trust', async () => leased.state === 'trusted');
      assert.deepEqual([leased.held, leased.cases, leased.unchanged], [1, [], [leased.lib.id('film')]]);
      const hashed = leased.lib.hashed;
      for (let piece = 0; piece < 10; piece++) assert.deepEqual(await read(handle, piece), right(piece));
      assert.equal(leased.lib.hashed, hashed);
      assert.deepEqual(leased.lib.volume.store.living.story(leased.lib.id('film')), []);
    });

    it('is trusted again, and closed, also when its last reader has gone before', async () => {
      await leased.open();
      const writer = await leased.write('nothing');
      await writer.opened();
      await leased.release();
      await writer.close();
      await waitUntil('trust', async () => leased.state === 'trusted');
      await waitUntil('it is closed', async () => (await leased.lib.volume.fileSystem.status()).openSources === 0);
    });

    const skip = kind === 'ext4' || WHOLE ? false : 'SURVIVAL=whole';
    it('is trusted again after the next start of the server', { skip }, async () => {
      await leased.open();
      const writer = await leased.write('nothing');
      await writer.opened();
      await leased.release();
      await leased.lib.close();
      await writer.close();
      await leased.lib.open();
      assert.equal(leased.state, 'doubted');
      leased.lib.volume.fileSystem.takeUpOpened();
      await waitUntil('trust', async () => leased.state === 'trusted');
    });

    it('is not trusted after the next start if it was written to meanwhile', { skip }, async () => {
      await leased.open();
      const writer = await leased.write('nothing');
      await writer.opened();
      await leased.release();
      await leased.lib.close();
      await writer.close();
      fs.writeFileSync(leased.lib.source('film'), FILM);
      await leased.lib.open();
      leased.lib.volume.fileSystem.takeUpOpened();
      await waitUntil('its case', async () => leased.cases.length > 0);
      assert.equal(leased.state, 'doubted');
      await sleep(300);
      assert.equal(leased.state, 'doubted');
    });

    for (const how of ['O_TRUNC', 'truncate'] as const) {
      it(`is kept before ${how}, and no zeros are served of it`, { skip }, async () => {
        const handle = await leased.open();
        let kept = Buffer.alloc(0);
        leased.beforeWrite = async () => {
          kept = fs.readFileSync(leased.lib.source('film'));
        };
        await (await leased.write(how)).opened();
        assert.deepEqual(kept, FILM);
        assert.equal(await read(handle, 3), undefined);
      });
    }

    it('keeps its trust when it is read, touched, renamed or given other rights', async () => {
      await leased.open();
      const path = leased.lib.source('film');
      fs.readFileSync(path);
      fs.utimesSync(path, 1, 1);
      fs.chmodSync(path, 0o600);
      fs.renameSync(path, `${path} 2`);
      await sleep(100);
      assert.deepEqual([leased.state, leased.held], ['trusted', 1]);
    });

    it('has a writer that does not wait refused, and is trusted again', { skip }, async () => {
      await leased.open();
      assert.deepEqual(await (await leased.write('O_NONBLOCK')).opened(), { errno: 11 });
      await waitUntil('trust', async () => leased.unchanged.length > 0);
      assert.deepEqual([leased.state, leased.held], ['trusted', 1]);
    });

    it('is kept before it is written to also while it is held without a reader', async () => {
      await leased.close();
      leased = new Leased();
      await leased.make(disk.path, {});
      await leased.open();
      await leased.release();
      const asked: number[] = [];
      leased.beforeWrite = async (id) => void asked.push(id);
      const writer = await leased.write('nothing');
      await writer.opened();
      assert.deepEqual([asked, leased.state], [[leased.lib.id('film')], 'doubted']);
      await writer.close();
      await waitUntil('trust', async () => leased.state === 'trusted');
      assert.equal(leased.held, 1);
    });

    it('is left alone more and more while an editor has it open', { skip }, async () => {
      await leased.open();
      const writer = await leased.write('nothing');
      await writer.opened();
      const before = leased.tries;
      const began = performance.now();
      await waitUntil('some tries', async () => leased.tries - before >= 4);
      // The second of them comes 100 ms after the first, the third 200 ms later, and so on.
      assert.ok(performance.now() - began >= 600);
      assert.equal(leased.state, 'doubted');
      assert.deepEqual(leased.cases, []);
      await writer.close();
      await waitUntil('trust', async () => leased.state === 'trusted');
    });

    it('lets go of its lease before it is closed', { skip }, async () => {
      await leased.open();
      await leased.release();
      await waitUntil('it is closed', async () => leased.held === 0);
      const opened = await (await leased.write()).opened();
      assert.ok('seconds' in opened && opened.seconds < 0.3, JSON.stringify(opened));
    });
  });
}

it('has a thousand writers wait for no more than five seconds when they come at once', {
  skip: NEEDS_ROOT,
}, async (t) => {
  const disk = await makeFileSystem('ext4', temporaryFolder('leased-many'));
  const leased = new Leased();
  t.after(async () => {
    await leased.close();
    await disk.close();
  });
  const names = Array.from({ length: 1000 }, (_, i) => `file ${i}`);
  await leased.make(disk.path, { most: 0 }, Object.fromEntries(names.map((name, i) => [name, content(i, 100)])));
  const { lib } = leased;
  const handles: number[] = [];
  for (const name of names) {
    const handle = await lib.openFile(name);
    await lib.readHandle(handle, 100);
    handles.push(handle);
  }
  await waitUntil('the leases', async () => leased.held === names.length);
  let kept = 0;
  leased.beforeWrite = async () => {
    kept++;
    await sleep(10);
  };
  const writers = await writersAtOnce(names.map((name) => lib.source(name)));
  const longest = await writers.go();
  t.diagnostic(`${longest} s`);
  assert.ok(longest < 5, `${longest} s`);
  assert.equal(kept, names.length);
  await waitUntil('trust', async () => names.every((name) => lib.state(name) === 'trusted'));
  assert.equal(leased.unchanged.length, names.length);
  for (const handle of handles) await lib.volume.fileSystem.release(handle);
});

it('has no lease on a file system of memory', { skip: NEEDS_ROOT }, async (t) => {
  const folder = temporaryFolder('leased-tmpfs');
  guardMount(folder);
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', folder]);
  const leased = new Leased();
  t.after(async () => {
    await leased.close();
    execFileSync('umount', [folder]);
  });
  await leased.make(join(folder));
  const handle = await leased.lib.openFile('film');
  await leased.lib.readHandle(handle, 100);
  await sleep(100);
  assert.equal(leased.held, 0);
  const opened = await (await leased.write()).opened();
  assert.ok('seconds' in opened && opened.seconds < 0.3, JSON.stringify(opened));
  await leased.lib.volume.fileSystem.release(handle);
});
