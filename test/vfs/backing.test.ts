/** Which open files are lent to the kernel, and what ends that. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { LeaseKeeper } from '../../src/leases/lease-keeper.ts';
import { silentLogger } from '../../src/logger.ts';
import { openCLibrary } from '../../src/native/c-library.ts';
import type { Backing, BackingAbility } from '../../src/vfs/operations.ts';
import { waitUntil } from '../harness/daemon.ts';
import { makeFileSystem, type TestFileSystem } from '../harness/file-systems.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { sourceOf } from '../harness/plans.ts';
import { type Opening, Writer } from '../harness/writer.ts';
import { content, Library, type LibraryOptions } from './proving/library.ts';
import { planFor, Volume } from './volume.ts';

const PIECE = 16_384;
const FILM = content(1, 10 * PIECE);
const { O_CREAT, O_RDONLY, O_RDWR, O_WRONLY, O_TRUNC } = fs.constants;

/** Lends what an open file has, and tells of which kind it is. */
async function lent(backing: BackingAbility | undefined, handle: number): Promise<Backing['kind'] | undefined> {
  return await backing?.lend(handle, ({ kind }) => kind);
}

describe('a source that is lent while it has a lease', { skip: NEEDS_ROOT }, () => {
  let disk: TestFileSystem;
  let keeper: LeaseKeeper;
  let lib: Library;
  let changed: number[][];
  let writers: Writer[];
  before(async () => {
    disk = await makeFileSystem('ext4', temporaryFolder('backing'));
  });
  after(async () => await disk?.close());
  beforeEach(async () => {
    [changed, writers] = [[], []];
    const started = LeaseKeeper.start(openCLibrary(silentLogger), silentLogger);
    assert.ok(started);
    keeper = started;
    // Its thread has started when it answers.
    const fd = fs.openSync(join(disk.path, 'first'), O_RDONLY | O_CREAT);
    await keeper.take(fd);
    await keeper.forget(fd);
    fs.closeSync(fd);
  });
  afterEach(async () => {
    for (const writer of writers) await writer.close();
    await lib.close();
    await keeper.close();
  });

  const make = async (options: Partial<LibraryOptions> = {}): Promise<void> => {
    const queue = { note() {}, urgent() {}, awaits: () => 'is settled by nobody' };
    const onReadChanged = (inodes: readonly number[]): void => void changed.push([...inodes]);
    const files = { film: FILM, other: content(2, 5000) };
    lib = await Library.make({ files, base: disk.path, queue, leases: { leases: keeper }, onReadChanged, ...options });
  };
  const ino = (): number => {
    const { paths } = lib.volume.fileSystem;
    return paths.find(paths.find(paths.find(1, 'E'), 'T'), 'film');
  };
  const open = async (flags = O_RDONLY): Promise<number> => await lib.volume.fileSystem.open(ino(), flags);
  const lend = async (handle: number): Promise<Backing['kind'] | undefined> =>
    await lent(lib.volume.fileSystem.backing, handle);
  const release = async (handle: number): Promise<void> => await lib.volume.fileSystem.release(handle);
  const counts = (): unknown => lib.volume.fileSystem.backingCounts;
  const write = async (how?: Opening): Promise<Writer> => {
    const writer = await Writer.start(lib.source('film'), how);
    writers.push(writer);
    return writer;
  };

  it('is lent at its first open, to all who only read, and to nobody else', async () => {
    await make();
    const handles = [await open(), await open()];
    const files = new Set<object>();
    for (const handle of handles) {
      const kind = await lib.volume.fileSystem.backing?.lend(handle, ({ kind, fd, file, dev }) => {
        assert.ok(fs.readFileSync(`/proc/self/fd/${fd}`).equals(FILM));
        assert.equal(fs.fstatSync(fd).dev, dev);
        files.add(file);
        return kind;
      });
      assert.equal(kind, 'leased');
    }
    assert.equal(files.size, 1);
    assert.deepEqual(counts(), { files: 1, changed: 0 });
    for (const flags of [O_RDWR, O_WRONLY]) {
      const handle = await open(flags);
      assert.equal(await lend(handle), undefined);
      await release(handle);
    }
    for (const handle of handles) await release(handle);
    assert.deepEqual(counts(), { files: 0, changed: 0 });
    const truncated = await open(O_RDONLY | O_TRUNC);
    assert.equal(await lend(truncated), undefined);
    await release(truncated);
  });

  it('is not lent if the driver does not take it, and may be given back', async () => {
    await make();
    const handle = await open();
    assert.equal(await lib.volume.fileSystem.backing?.lend(handle, () => undefined), undefined);
    assert.deepEqual(counts(), { files: 0, changed: 0 });
    assert.equal(await lend(handle), 'leased');
    lib.volume.fileSystem.backing?.giveBack(handle);
    assert.deepEqual(counts(), { files: 0, changed: 0 });
    await release(handle);
  });

  it('is no longer lent when it was written over or cut off in the mount', async () => {
    await make();
    const reader = await open();
    assert.equal(await lend(reader), 'leased');
    const writer = await open(O_RDWR);
    // The bytes that are there: nothing is written.
    await lib.volume.fileSystem.write(writer, FILM.subarray(0, 100), 0);
    const [second] = [await open()];
    assert.equal(await lend(second), 'leased');
    await lib.volume.fileSystem.write(writer, Buffer.from('x'), 5);
    const third = await open();
    assert.equal(await lend(third), undefined);
    for (const handle of [reader, writer, second, third]) await release(handle);
    await lib.volume.fileSystem.setattr(ino(), { size: 100 });
    const cut = await open();
    assert.equal(await lend(cut), undefined);
    await release(cut);
  });

  it('is not lent while somebody else has it open for writing, and again when he has changed nothing', async () => {
    await make();
    const first = await open();
    assert.equal(await lend(first), 'leased');
    const writer = await write('nothing');
    await writer.opened();
    const second = await open();
    assert.equal(await lend(second), undefined);
    await writer.close();
    await waitUntil('trust', async () => lib.state('film') === 'trusted');
    assert.equal(await lend(second), 'leased');
    assert.deepEqual([counts(), changed], [{ files: 1, changed: 0 }, []]);
    await release(first);
    await release(second);
  });

  for (const how of ['writes', 'O_TRUNC'] as const) {
    it(`counts who still reads it when somebody has changed it (${how})`, async () => {
      await make();
      const first = await open();
      assert.equal(await lend(first), 'leased');
      await (await write(how)).opened();
      await waitUntil('the report', async () => changed.length > 0);
      assert.deepEqual([counts(), changed], [{ files: 1, changed: 1 }, [[ino()]]]);
      const second = await lib.openFile('film').catch(() => undefined);
      if (second !== undefined) assert.equal(await lend(second), undefined);
      await release(first);
      assert.deepEqual(counts(), { files: 0, changed: 0 });
      if (second !== undefined) await release(second);
    });
  }

  it('is reported when a piece of it turns out to be wrong', async () => {
    await make();
    const handle = await open();
    assert.equal(await lend(handle), 'leased');
    lib.volume.store.living.setCondition(lib.id('film'), { state: 'healing', reason: 'is wrong', failed: true });
    assert.deepEqual([counts(), changed], [{ files: 1, changed: 1 }, [[ino()]]]);
    await release(handle);
  });

  it('keeps its descriptor, and so its lease, when descriptors are short', async () => {
    await make();
    const handle = await open();
    assert.equal(await lend(handle), 'leased');
    lib.volume.fileSystem.closeSource(lib.id('film'));
    const writer = await write('nothing');
    await writer.opened();
    fs.writeFileSync(lib.source('film'), 'other');
    await waitUntil('the report', async () => changed.length > 0);
    await release(handle);
  });

  it('is not lent with passthrough = safe, nor anything with off', async () => {
    await make({ passthrough: 'safe' });
    const handle = await open();
    await waitUntil('the lease', async () => lib.volume.fileSystem.leaseCounts?.held === 1);
    assert.equal(await lend(handle), undefined);
    await release(handle);
    await lib.close();
    await keeper.close();
    await make({ passthrough: 'off' });
    assert.equal(lib.volume.fileSystem.backing, undefined);
  });

  it('is lent once all of its pieces were hashed with verify_reads = first', async () => {
    await make({ verifyReads: 'first' });
    const handle = await open();
    assert.equal(await lend(handle), undefined);
    await lib.readHandle(handle, FILM.length);
    assert.equal(await lend(handle), 'leased');
    await release(handle);
  });

  it('is lent of its pin, also with passthrough = safe', async () => {
    await make({ passthrough: 'safe' });
    const pin = join(lib.folder, 'kept', 'pins', 'film');
    fs.mkdirSync(dirname(pin), { recursive: true });
    fs.copyFileSync(lib.source('film'), pin);
    await lib.volume.store.living.keep(lib.id('film'), sourceOf(pin), undefined);
    const handle = await open();
    assert.equal(await lend(handle), 'pin');
    await release(handle);
  });

  it('is not lent if it has other bytes around those of the file', async () => {
    await make({ gaps: { film: [PIECE, PIECE] } });
    const handle = await open();
    assert.equal(await lend(handle), undefined);
    await release(handle);
  });
});

it('is lent of the pool, but no source without a lease', async (t) => {
  const volume = await Volume.open(temporaryFolder('backing'));
  t.after(async () => await volume.close());
  await volume.store.recovered;
  const { backing } = volume.files;
  const { infoHash } = planFor(import.meta.filename);
  await volume.write('T/gap', Buffer.alloc(20_000, 'downloaded '), 0);
  const before = await volume.open('T/gap', O_RDONLY);
  assert.equal(await lent(backing, before), undefined);
  const since = await volume.store.verificationBegun(infoHash);
  await volume.store.verificationEnded(infoHash, { since, good: Buffer.from([0b0011_0000]), bad: Buffer.alloc(1) });
  const file = await volume.store.file(infoHash, 1);
  assert.ok(file);
  const pooled = await volume.files.pool(infoHash, file, ['x', 'gap']);
  assert.ok(pooled !== undefined && 'pooled' in pooled);
  const after = await volume.open('T/gap', O_RDONLY);
  assert.equal(await lent(backing, after), 'pool');
  // Whoever had it open before gets it, too: it has the same bytes.
  assert.equal(await lent(backing, before), 'pool');
  const whole = await volume.open('T/whole', O_RDONLY);
  assert.equal(await lent(backing, whole), undefined);
  for (const handle of [before, after, whole]) await volume.files.release(handle);
});
