import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { errnoOf } from '../../../src/errors.ts';
import { GAP } from '../../../src/extent/extent.ts';
import { silentLogger } from '../../../src/logger.ts';
import { Journal } from '../../../src/store/overlay/journal.ts';
import { OverlayFiles } from '../../../src/store/overlay/overlay-files.ts';
import { garbageKey, inodeKey, overlayKey, VERSION_KEY } from '../../../src/store/records/key.ts';
import { FORMAT, Writer } from '../../../src/store/records/record.ts';
import { Store } from '../../../src/store/store.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { fileOf, planOf } from '../../harness/plans.ts';
import { openLevel } from '../../harness/volume.ts';
import { BASE, patched, planFor, Volume } from '../../vfs/volume.ts';
import { letters, withStore } from '../fixture.ts';

const child = fileURLToPath(new URL('../../vfs/killed.js', import.meta.url));

/** Runs one of the child's scenarios, which ends with SIGKILL. */
function killed(folder: string, scenario: string): void {
  const { signal, stderr } = spawnSync(process.execPath, [child, folder, scenario], { encoding: 'utf8' });
  assert.equal(signal, 'SIGKILL', stderr);
}

/** Makes the journal one of another boot, as a power loss does, whatever else has reached the disk. */
function pretendPowerLoss(folder: string): void {
  for (const name of fs.readdirSync(join(folder, 'overlay'))) {
    if (!name.startsWith('journal-')) continue;
    const path = join(folder, 'overlay', name);
    const bytes = fs.readFileSync(path);
    randomBytes(16).copy(bytes, 8);
    fs.writeFileSync(path, bytes);
  }
}

const second = (seconds: number) => ({ seconds, nanoseconds: 0 });

describe('the overlay', () => {
  let folder: string;
  let volume: Volume | undefined;
  beforeEach(async () => {
    folder = temporaryFolder('overlay');
  });
  afterEach(async () => {
    await volume?.close();
    volume = undefined;
  });

  const opened = async (): Promise<Volume> => {
    volume = await Volume.open(folder);
    await volume.store.recovered;
    return volume;
  };
  const closed = async (): Promise<void> => {
    await volume?.close();
    volume = undefined;
  };
  const overlayFiles = (): string[] =>
    fs.readdirSync(join(folder, 'overlay'), { recursive: true, encoding: 'utf8' }).filter((name) => name.includes('/'));
  const journals = (): string[] =>
    fs.readdirSync(join(folder, 'overlay')).filter((name) => name.startsWith('journal-'));
  /** Reads the recorded time, without the state in memory. */
  const recordedMtime = async (path: string): Promise<number> => {
    const { files } = await opened();
    const { mtime } = files.getattr(volume!.ino(path));
    await closed();
    return mtime.seconds;
  };

  it('records what was written at each checkpoint, forgets the journal, and cuts what lies after the end', async () => {
    const { store, files } = await opened();
    const ino = volume!.ino('T/gap');
    await volume!.write('T/gap', Buffer.alloc(20_000, 'x'), 0);
    await volume!.truncate('T/gap', 5000);
    assert.equal(volume!.overlay(ino)?.length, 20_000);
    assert.equal(journals().length, 1);
    assert.equal(store.inode(ino)?.size, 20_000, 'not before the checkpoint');
    await store.checkpoint();
    assert.equal(store.inode(ino)?.size, 5000);
    assert.equal(store.inode(ino)?.baseEnd, 5000);
    assert.equal(volume!.overlay(ino)?.length, 5000);
    assert.deepEqual(journals(), []);
    assert.equal(files.getattr(ino).size, 5000);
    assert.match(await letters(volume!.level), /O+.*W/);
  });

  it('has what was acknowledged after kill -9, over a file of the torrent, in a gap, and in a new file', async () => {
    killed(folder, 'write');
    assert.equal(journals().length, 1);
    const { store } = await opened();
    const whole = patched(patched(BASE['T/whole']!, 'across blocks', 4090), 'behind the end', 50_000);
    assert.ok((await volume!.read('T/whole')).equals(whole));
    assert.ok((await volume!.read('T/gap')).equals(patched(BASE['T/gap']!.subarray(0, 9000), 'gap', 100)));
    assert.equal((await volume!.read('T/new')).toString(), 'new');
    assert.deepEqual(store.overlayProblems, []);
    // Once more, from the state that the first start has left.
    await volume!.restart();
    assert.ok((await volume!.read('T/whole')).equals(whole));
    assert.deepEqual(journals(), []);
  });

  it('is not opened as it is before what is left of a server was recovered', async () => {
    const openedAsItIs = async (): Promise<Store> => {
      const level = await openLevel(folder);
      try {
        return await Store.openAsItIs(level, { logger: silentLogger, statePath: folder });
      } finally {
        await level.close();
      }
    };
    await opened();
    await closed();
    const before = fs.readdirSync(join(folder, 'overlay'));
    const store = await openedAsItIs();
    assert.ok(store.sources() !== undefined);
    assert.deepEqual(fs.readdirSync(join(folder, 'overlay')), before, 'nothing is made');
    killed(folder, 'write');
    await assert.rejects(openedAsItIs(), /the store was not closed by its last server/);
    assert.equal(journals().length, 1, 'nothing is recovered');
    await opened();
    await closed();
    await openedAsItIs();
    const level = await openLevel(folder);
    await level.put(VERSION_KEY, new Writer().integer(FORMAT - 1).finish());
    await level.close();
    await assert.rejects(openedAsItIs(), /the store was written by another version/);
  });

  it('has it after a second kill -9, too, before anything of the first was recorded', async () => {
    killed(folder, 'write');
    killed(folder, 'write more');
    await opened();
    const whole = patched(patched(BASE['T/whole']!, 'across blocks', 4090), 'behind the end', 50_000);
    assert.ok((await volume!.read('T/whole')).equals(patched(whole, 'more', 50_000)));
    assert.ok((await volume!.read('T/gap')).equals(Buffer.alloc(9100)));
  });

  it('has what was fsynced after a power loss, and nothing half of what was not', async () => {
    killed(folder, 'fsync');
    pretendPowerLoss(folder);
    await opened();
    assert.ok((await volume!.read('T/whole')).equals(patched(BASE['T/whole']!, 'synced', 10)));
    assert.ok((await volume!.read('T/gap')).equals(BASE['T/gap']!), 'its blocks are there, and nobody says so');
    assert.ok((await volume!.read('T/mixed')).equals(BASE['T/mixed']!));
    // Their overlay files are reused, and none of the former bytes shows.
    await volume!.write('T/gap', 'y', 4096);
    assert.ok((await volume!.read('T/gap')).equals(patched(BASE['T/gap']!, 'y', 4096)));
    await volume!.truncate('T/gap', 3);
    await volume!.truncate('T/gap', 20_000);
    assert.ok((await volume!.read('T/gap')).equals(BASE['T/gap']!));
  });

  it('has a write after kill -9 whose record filled the journal', async (t) => {
    volume = await opened();
    await volume.write('T/gap', Buffer.alloc(4096, 'first'), 0);
    const journals = (): string[] =>
      fs.readdirSync(join(folder, 'overlay')).filter((name) => name.startsWith('journal-'));
    const [first = ''] = journals();
    const full = t.mock.method(Journal.prototype, 'isFull', () => full.mock.callCount() === 0, { getter: true });
    await volume.write('T/gap', Buffer.alloc(4096, 'other'), 8192);
    while (journals().includes(first)) await new Promise(setImmediate);
    // The state that a killed server leaves.
    const copy = temporaryFolder('overlay');
    fs.cpSync(folder, copy, { recursive: true });
    const expected = await volume.read('T/gap');
    await closed();
    volume = await Volume.open(copy);
    assert.ok((await volume.read('T/gap')).equals(expected));
  });

  it('keeps the times that were set after a write, through kill -9 and through a checkpoint', async () => {
    killed(folder, 'times');
    assert.equal(await recordedMtime('T/whole'), 1000);
    assert.ok((await recordedMtime('T/gap')) > 1_600_000_001, 'the write was the last');
    assert.ok((await recordedMtime('T/mixed')) > 1_600_000_001, 'chmod leaves the mtime of the write');
  });

  it('keeps the times that are set while a checkpoint is under way', async () => {
    const { store, files } = await opened();
    const ino = volume!.ino('T/whole');
    const handle = await volume!.open('T/whole');
    await files.write(handle, Buffer.from('changed'), 0);
    await Promise.all([store.checkpoint(), files.setattr(ino, { atime: second(1000), mtime: second(2000) })]);
    await files.release(handle);
    assert.equal(files.getattr(ino).mtime.seconds, 2000);
    assert.equal(store.inode(ino)?.mtime.seconds, 2000);
  });

  it('gives a mapped file that is being opened the state it has when it is open', async () => {
    const { store, files } = await opened();
    await volume!.write('T/whole', 'changed', 0);
    await store.checkpoint();
    const ino = volume!.ino('T/whole');
    const [handle] = await Promise.all([files.open(ino, 0), files.setattr(ino, { mtime: second(2000) })]);
    assert.equal(files.getattr(ino).mtime.seconds, 2000);
    await files.release(handle);
    // Its blocks must be read first: either it is opened before it is deleted, and stays, or it does not exist.
    const opening = async (): Promise<void> => {
      try {
        const again = await files.open(ino, 0);
        assert.ok((await volume!.readHandle(again, 40_000)).equals(patched(BASE['T/whole']!, 'changed', 0)));
        await files.release(again);
      } catch (error) {
        assert.equal(errnoOf(error), 'ENOENT');
      }
    };
    await Promise.all([opening(), volume!.unlink('T/whole')]);
    assert.equal((await files.status()).openFiles, 0);
  });

  it('deletes what was unlinked while it was open, after kill -9', async () => {
    killed(folder, 'orphans');
    const before = overlayFiles();
    assert.equal(before.length, 2);
    const { store } = await opened();
    await store.overlayFilesGone();
    assert.deepEqual(overlayFiles(), []);
    assert.doesNotMatch(await letters(volume!.level), /[ZOW]/);
    assert.throws(() => volume!.ino('T/whole'), { code: 'ENOENT' });
  });

  it('leaves what loses its last name while it starts to whoever has it open', async () => {
    killed(folder, 'orphans');
    volume = await Volume.open(folder);
    // Programs may be faster than the recovery.
    const { files, ino, handle } = {
      files: volume.files,
      ino: volume.ino('T/gap'),
      handle: await volume.open('T/gap'),
    };
    await files.write(handle, Buffer.from('kept'), 0);
    await volume.unlink('T/gap');
    await volume.store.recovered;
    assert.equal(files.getattr(ino).size, 20_000);
    assert.ok((await volume.readHandle(handle, 20_000)).equals(patched(BASE['T/gap']!, 'kept', 0)));
    assert.notEqual(volume.overlay(ino), undefined);
    await files.release(handle);
  });

  it('deletes an overlay file only when its inode has gone from the disk', async () => {
    const { store } = await opened();
    const ino = await volume!.create('T/new', 'new');
    await store.sync();
    let synced = false;
    const sync = volume!.level.batch.bind(volume!.level);
    Object.assign(volume!.level, {
      batch: () => {
        const batch = sync();
        const write = batch.write.bind(batch);
        return Object.assign(batch, {
          write: async (options: { sync: boolean }) => {
            await write(options);
            synced ||= options.sync;
          },
        });
      },
    });
    await volume!.unlink('T/new');
    assert.ok(synced || fs.existsSync(volume!.overlayPath(ino)));
    while (fs.existsSync(volume!.overlayPath(ino))) await new Promise(setImmediate);
    assert.ok(synced);
  });

  it('makes good what a server did between the deletion of an inode and that of its overlay file', async () => {
    await opened();
    await volume!.write('T/gap', 'x', 0);
    const ino = volume!.ino('T/gap');
    const path = volume!.overlayPath(ino);
    await closed();
    const kept = fs.readFileSync(path);
    await opened();
    await volume!.unlink('T/gap');
    await closed();
    assert.equal(fs.existsSync(path), false);
    fs.writeFileSync(path, kept);
    await withStore(folder, async (_, level) => await level.put(garbageKey(ino), Buffer.alloc(0)));
    await opened();
    await closed();
    assert.equal(fs.existsSync(path), false);
    assert.equal(await withStore(folder, async (_, level) => level.getSync(garbageKey(ino))), undefined);
  });

  it('does not delete what an old note of garbage names once it is written to again', async () => {
    await opened();
    await closed();
    for (const early of [true, false]) {
      volume = await Volume.open(folder);
      const ino = volume.ino('T/gap');
      await volume.level.put(garbageKey(ino), Buffer.alloc(0));
      await volume.close();
      volume = await Volume.open(folder);
      const handle = await volume.open('T/gap');
      // The recovery deletes the file that the note names, before it is written to again or meanwhile.
      if (!early) await volume.store.recovered;
      await volume.files.write(handle, Buffer.from(`kept ${early}`), 0);
      await volume.store.recovered;
      await volume.files.fsync(handle);
      await volume.files.release(handle);
      await volume.restart();
      assert.ok((await volume.read('T/gap')).equals(patched(BASE['T/gap']!, `kept ${early}`, 0)));
      await volume.unlink('T/gap');
      await volume.store.discard(planFor(volume.source).infoHash, undefined, volume.files.quiet);
      await closed();
    }
  });

  it('sets aside what nothing refers to, and tells what is missing', async () => {
    await opened();
    await volume!.write('T/gap', 'x', 0);
    await volume!.create('T/new', 'plain');
    const [gap, plain] = [volume!.ino('T/gap'), volume!.ino('T/new')];
    await closed();
    const files = new OverlayFiles(folder);
    fs.unlinkSync(files.path(gap));
    fs.unlinkSync(files.path(plain));
    fs.mkdirSync(join(files.folder, 'ff'), { recursive: true });
    fs.writeFileSync(join(files.folder, 'ff', '255'), 'whose is it');
    fs.writeFileSync(join(files.folder, 'ff', 'notes'), 'mine');
    fs.writeFileSync(join(files.folder, 'ff', '511'), '');
    await opened();
    const problems = volume!.store.overlayProblems.map(({ what, path }) => `${what.slice(0, 40)} ${path}`).toSorted();
    assert.equal(problems.length, 4);
    assert.equal(problems.filter((line) => line.includes('is missing')).length, 2);
    const aside = fs.readdirSync(join(folder, 'set-aside')).toSorted();
    assert.deepEqual(
      aside.map((name) => name.replace(/-\d+$/, '')),
      ['255', 'unknown'],
    );
    assert.equal(fs.existsSync(join(files.folder, 'ff', '511')), false);
    // A missing file cannot be read, and does not affect others.
    const held = { openFiles: 0, openSources: 0 };
    await assert.rejects(volume!.read('T/gap'), { code: 'EIO' });
    await assert.rejects(async () => await volume!.open('T/new'), { code: 'EIO' });
    assert.throws(() => volume!.files.getattr(plain), { code: 'EIO' });
    const { openFiles, openSources } = await volume!.files.status();
    assert.deepEqual({ openFiles, openSources }, held);
    await volume!.write('T/whole', 'good', 0);
    await volume!.restart();
    assert.ok((await volume!.read('T/whole')).equals(patched(BASE['T/whole']!, 'good', 0)));
    await volume!.unlink('T/new');
    await volume!.unlink('T/gap');
  });

  it('does not take a file that is being made for one that nothing refers to', async () => {
    for (let round = 0; round < 5; round++) {
      volume = await Volume.open(folder);
      // Meanwhile the recovery compares the folder with the store.
      const names = Array.from({ length: 40 }, (_, i) => `T/new ${round} ${i}`);
      await Promise.all([volume.store.recovered, ...names.map(async (name) => await volume!.create(name, name))]);
      for (const name of names) assert.equal((await volume.read(name)).toString(), name);
      assert.deepEqual(volume.store.overlayProblems, []);
      await closed();
    }
  });

  it('records all others when one cannot be, and when it can be, that one', async () => {
    const { store, files } = await opened();
    const handles = [await volume!.open('T/gap'), await volume!.open('T/whole')];
    for (const handle of handles) await files.write(handle, Buffer.from('x'), 0);
    for (const handle of handles) await files.release(handle);
    const path = volume!.overlayPath(volume!.ino('T/gap'));
    fs.renameSync(path, `${path}-away`);
    await assert.rejects(store.checkpoint(), { code: 'ENOENT' });
    assert.ok(store.bytes.isRecorded(volume!.ino('T/whole')));
    assert.equal(journals().length, 1);
    fs.renameSync(`${path}-away`, path);
    await store.checkpoint();
    assert.deepEqual(journals(), []);
    await volume!.restart();
    assert.ok((await volume!.read('T/gap')).equals(patched(BASE['T/gap']!, 'x', 0)));
  });

  it('keeps no descriptor of what is closed and waits for its checkpoint', async () => {
    await opened();
    // Sources are held open for a while.
    const isOverlay = (fd: string): boolean => {
      try {
        return fs.readlinkSync(`/proc/self/fd/${fd}`).startsWith(join(folder, 'overlay'));
      } catch {
        return false;
      }
    };
    const count = (): number => fs.readdirSync('/proc/self/fd').filter(isOverlay).length;
    const before = count();
    for (const path of ['T/gap', 'T/whole', 'T/mixed']) await volume!.write(path, 'x', 0);
    // Wait until only the journal is open.
    for (let i = 0; i < 100 && count() > before + 1; i++) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.ok(count() <= before + 1);
    await volume!.store.checkpoint();
    await volume!.restart();
    for (const path of ['T/gap', 'T/whole', 'T/mixed'])
      assert.equal((await volume!.read(path)).toString('latin1', 0, 1), 'x');
  });

  it('leaves no descriptor and no file where a file could not be made to take writes', async () => {
    const { files } = await opened();
    const handle = await volume!.open('T/gap');
    const count = (): number => fs.readdirSync('/proc/self/fd').length;
    const before = count();
    const batch = volume!.level.batch.bind(volume!.level);
    Object.assign(volume!.level, {
      batch: () =>
        Object.assign(batch(), {
          write: async () => await Promise.reject(new Error('IO error: No space left on device')),
        }),
    });
    for (let i = 0; i < 3; i++) {
      await assert.rejects(async () => await files.write(handle, Buffer.from('x'), 0), { code: 'ENOSPC' });
    }
    assert.ok(count() <= before + 1, 'but for the journal');
    assert.deepEqual(overlayFiles(), []);
    Object.assign(volume!.level, { batch });
    await files.write(handle, Buffer.from('x'), 0);
    await files.release(handle);
    assert.ok((await volume!.read('T/gap')).equals(patched(BASE['T/gap']!, 'x', 0)));
    assert.notEqual(volume!.level.getSync(overlayKey(volume!.ino('T/gap'))), undefined);
  });

  it('ends with all recorded, though a checkpoint is under way', async () => {
    const { files, store } = await opened();
    const handle = await volume!.open('T/gap');
    await files.write(handle, Buffer.from('first'), 0);
    const running = store.checkpoint();
    await files.write(handle, Buffer.from('second'), 8192);
    await files.release(handle);
    await closed();
    await running;
    assert.deepEqual(journals(), []);
    await opened();
    assert.ok((await volume!.read('T/gap')).equals(patched(patched(BASE['T/gap']!, 'first', 0), 'second', 8192)));
  });

  it('records many files together, with few batches', async () => {
    await opened();
    const files = Array.from({ length: 100 }, (_, i) =>
      fileOf(['G', `${i}`], [{ length: 5000, source: GAP, sourceOffset: 0 }]),
    );
    const plan = planOf('Gaps', [], files);
    await volume!.store.createEntry(plan);
    const folder = volume!.files.paths.find(volume!.files.paths.find(1, 'Gaps'), 'G');
    for (let i = 0; i < 100; i++) {
      const handle = await volume!.files.open(volume!.files.paths.find(folder, `${i}`), 2);
      await volume!.files.write(handle, Buffer.from(`${i}`), i);
      await volume!.files.release(handle);
    }
    const batch = volume!.level.batch.bind(volume!.level);
    let batches = 0;
    Object.assign(volume!.level, {
      batch: () => {
        batches++;
        return batch();
      },
    });
    await volume!.store.checkpoint();
    assert.ok(batches <= 5, `${batches}`);
    Object.assign(volume!.level, { batch });
    await volume!.restart();
    for (let i = 0; i < 100; i++) {
      const handle = await volume!.files.open(volume!.files.paths.find(folder, `${i}`), 0);
      assert.ok((await volume!.readHandle(handle, 5000)).equals(patched(Buffer.alloc(5000), `${i}`, i)));
      await volume!.files.release(handle);
    }
  });

  it('opens a store of format 1, and writes to it', async () => {
    await opened();
    const inos = ['T/whole', 'T'].map((path) => volume!.ino(path));
    await closed();
    // Inodes of the version without an overlay: type, mode, nlink, size, entry, three times.
    const old = (type: number, mode: number, nlink: number, size: number): Buffer =>
      new Writer()
        .integer(type)
        .integer(mode)
        .integer(nlink)
        .integer(size)
        .integer(1)
        .double(1.5e12)
        .double(1.6e12)
        .double(1.7e12)
        .finish();
    const level = await openLevel(folder);
    await level.put(VERSION_KEY, new Writer().integer(1).finish());
    await level.put(inodeKey(inos[0]!), old(0, 0o644, 1, 40_000));
    await level.put(inodeKey(inos[1]!), old(1, 0o755, 2, 4096));
    await level.close();
    fs.rmSync(join(folder, 'overlay'), { recursive: true });
    const { files } = await opened();
    const attributes = files.getattr(inos[0]!);
    assert.deepEqual([attributes.size, attributes.mtime.seconds, attributes.type], [40_000, 1.6e9, 'file']);
    assert.ok((await volume!.read('T/whole')).equals(BASE['T/whole']!));
    await volume!.write('T/whole', 'new', 5);
    await volume!.create('T/plain', 'plain');
    await volume!.rename('T/whole', 'T/renamed');
    await volume!.restart();
    assert.ok((await volume!.read('T/renamed')).equals(patched(BASE['T/whole']!, 'new', 5)));
    assert.equal((await volume!.read('T/plain')).toString(), 'plain');
    assert.equal(volume!.level.getSync(VERSION_KEY)?.[0], FORMAT);
  });
});
