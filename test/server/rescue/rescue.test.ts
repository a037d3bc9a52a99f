import assert from 'node:assert/strict';
import {
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLogger } from '../../../src/logger.ts';
import { openCLibrary } from '../../../src/native/c-library.ts';
import { DescriptorBudget } from '../../../src/native/descriptor-budget.ts';
import type { ToKeep } from '../../../src/rescue/kept-files.ts';
import { lookWith } from '../../../src/server/news/look.ts';
import { findKeptRecords } from '../../../src/server/rescue/kept-records.ts';
import { KeptSources, ownFilesOf } from '../../../src/server/rescue/kept-sources.ts';
import { Rescue } from '../../../src/server/rescue/rescue.ts';
import { SourceConditions } from '../../../src/server/source-conditions.ts';
import { openFileSystems } from '../../../src/source/file-system.ts';
import { anywhere } from '../../harness/anywhere.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { fileOf, planOf, sourceOf } from '../../harness/plans.ts';
import { openVolume } from '../../harness/volume.ts';
import { keeperOn, MIB } from '../../rescue/keeping.ts';
import { content } from '../../vfs/proving/library.ts';

const LENGTH = 300_000;

/** A film that is open in a server, as far as rescue needs one. `hurried`: no writer can wait for more than the beginning. */
async function scene(t: TestContext, { limit = MIB, total = 100 * MIB, hurried = false } = {}) {
  const base = temporaryFolder('rescue');
  const disk = join(base, 'disk');
  mkdirSync(disk);
  const film = join(disk, 'film.mkv');
  const bytes = content(7, LENGTH);
  writeFileSync(film, bytes);
  utimesSync(film, 1e9, 1e9);
  const library = openCLibrary(silentLogger);
  const open = new Set<number>();
  const noted: number[] = [];
  const said: string[] = [];
  const logger = { ...silentLogger, warn: (line: string) => void said.push(line) };
  let sources: KeptSources | undefined;
  const keeper = keeperOn(disk, base, {
    limit,
    total,
    expendable: () => sources?.expendable() ?? [],
    letGo: async (path) => (await sources?.giveUp(path)) === true,
  });
  const keep = keeper.keep.bind(keeper);
  const files = Object.assign(keeper, {
    keep: async (one: ToKeep) => await keep(hurried && one.until !== undefined ? { ...one, until: 0 } : one),
  });
  const volume = await openVolume(join(base, 'state'), {
    kept: ownFilesOf(files, silentLogger),
    hold: { most: 0 },
    doubts: (store) => new SourceConditions({ store, verifyReads: 'suspect', logger: silentLogger }),
  });
  const { store, fileSystem } = volume;
  sources = new KeptSources({ store, files, pool: join(base, 'pool'), isOpenCase: (id) => open.has(id), logger });
  const rescue = new Rescue({
    store,
    files,
    sources,
    fileSystems: openFileSystems(library),
    look: lookWith({ access: anywhere(), writers: undefined, descriptors: DescriptorBudget.ofProcess() }),
    openFile: (id) => fileSystem.openSource(id),
    note: (id) => void noted.push(id),
    logger,
  });
  rescue.start(findKeptRecords(store, new AbortController().signal));
  t.after(async () => {
    await rescue.close();
    await volume.close();
    await files.close();
  });
  const extents = [
    { length: 100_000, source: 0, sourceOffset: 0 },
    { length: 50_000, source: 0, sourceOffset: 200_000 },
  ];
  await store.createEntry({ ...planOf('E', [sourceOf(film)], [fileOf(['E', 'film.mkv'], extents)]), pieceCount: 3 });
  const [id = -1] = store.living.sourcesAt(Buffer.from(film));
  const handle = await openedIn(fileSystem);
  return { film, bytes, store, fileSystem, rescue, sources, files, id, handle, open, noted, said, disk };
}

async function openedIn(fileSystem: Awaited<ReturnType<typeof openVolume>>['fileSystem']): Promise<number> {
  const { paths } = fileSystem;
  const handle = await fileSystem.open(paths.find(paths.find(paths.find(1, 'E'), 'E'), 'film.mkv'), constants.O_RDONLY);
  await fileSystem.read(handle, Buffer.alloc(100), 0);
  return handle;
}

type Scene = Awaited<ReturnType<typeof scene>>;

/** The paths of what stands in for the film. */
const keptOf = ({ store, id }: Scene): string[] =>
  store.living.keptOf(id).map((kept) => store.source(kept)!.path.toString());

it('keeps what files name of a deleted film that is open, until the healer has been given it', async (t) => {
  const all = await scene(t);
  const { rescue, film, id, bytes, store } = all;
  rmSync(film);
  assert.equal(await rescue.beforeLoss(id, 'healer'), 'kept');
  const [path = '', more] = keptOf(all);
  assert.equal(more, undefined);
  const kept = readFileSync(path);
  assert.equal(kept.length, LENGTH);
  for (const [from, to] of [
    [0, 100_000],
    [200_000, 250_000],
  ] as const) {
    assert.ok(kept.subarray(from, to).equals(bytes.subarray(from, to)));
  }
  assert.equal(store.living.condition(store.living.keptOf(id)[0]!)?.state, 'doubted');
  assert.equal(await rescue.beforeLoss(id, 'healer'), 'kept', 'the healer was not given it');
  rescue.offered(id, store.living.keptOf(id), 'urgent');
  assert.equal(await rescue.beforeLoss(id, 'healer'), 'kept', 'the other healer was');
  rescue.offered(id, store.living.keptOf(id), 'healer');
  assert.equal(await rescue.beforeLoss(id, 'healer'), 'nothing');
  assert.deepEqual(keptOf(all), [path], 'once');
});

it('keeps nothing of a film that is not open, or has another size by now', async (t) => {
  const { fileSystem, handle, rescue, id, film } = await scene(t);
  truncateSync(film, 1000);
  await (async () => await fileSystem.read(handle, Buffer.alloc(100), 0))().catch(() => {});
  assert.equal(await rescue.beforeLoss(id, 'healer'), 'nothing');
  await fileSystem.release(handle);
  rmSync(film);
  assert.equal(await rescue.beforeLoss(id, 'healer'), 'nothing');
});

it('notes the case of what cannot be kept again as soon as it is closed', async (t) => {
  const all = await scene(t, { limit: 1000 });
  const { fileSystem, handle, rescue, id, film, noted } = all;
  rmSync(film);
  assert.equal(await rescue.beforeLoss(id, 'healer'), 'held');
  assert.deepEqual(keptOf(all), []);
  rescue.hold(id);
  await sleep(1500);
  assert.deepEqual(noted, []);
  await fileSystem.release(handle);
  await sleep(1500);
  assert.deepEqual(noted, [id]);
  assert.equal(await rescue.beforeLoss(id, 'healer'), 'nothing');
});

it('lets go of what was kept if nobody has written, or the film was found elsewhere', async (t) => {
  const all = await scene(t);
  const { fileSystem, rescue, id, store } = all;
  for (const end of ['unchanged', 'found'] as const) {
    await rescue.beforeWrite(id, fileSystem.openSource(id)!);
    assert.equal(keptOf(all).length, 1);
    await rescue[end](id);
    assert.deepEqual(keptOf(all), []);
    assert.deepEqual(store.source(id)?.spares, []);
  }
});

it('keeps the film anew for a writer that comes while what was kept is let go', async (t) => {
  const all = await scene(t);
  const { fileSystem, rescue, id } = all;
  const file = fileSystem.openSource(id)!;
  await rescue.beforeWrite(id, file);
  const [before = ''] = keptOf(all);
  const going = rescue.unchanged(id);
  await rescue.beforeWrite(id, file);
  await going;
  const [path = '', ...more] = keptOf(all);
  assert.deepEqual(more, []);
  assert.notEqual(path, before);
  assert.ok(existsSync(path));
});

it('lets go of it when the film is trusted again, and is where it should be', async (t) => {
  const all = await scene(t);
  const { fileSystem, rescue, id, store, film } = all;
  store.living.setCondition(id, { state: 'doubted', reason: 'was opened' });
  await rescue.beforeWrite(id, fileSystem.openSource(id)!);
  renameSync(film, `${film}.away`);
  store.living.trust(id);
  await sleep(300);
  assert.equal(keptOf(all).length, 1, 'it is not there');
  renameSync(`${film}.away`, film);
  const { spares: _, ...was } = store.source(id)!;
  const now = sourceOf(film);
  await store.living.changeSources([{ id, was, now: { ...was, ctimeNs: now.ctimeNs }, trusted: true }]);
  store.living.setCondition(id, { state: 'doubted', reason: 'was opened' });
  store.living.trust(id);
  for (let i = 0; i < 50 && keptOf(all).length > 0; i++) await sleep(20);
  assert.deepEqual(keptOf(all), []);
});

it('gives up only what stands in for a film that is mapped', async (t) => {
  const all = await scene(t, { total: LENGTH });
  const { fileSystem, rescue, sources, id, store, open } = all;
  await rescue.beforeWrite(id, fileSystem.openSource(id)!);
  const [path = ''] = keptOf(all);
  assert.deepEqual(sources.expendable(), [], 'nobody knows what became of it');
  store.living.setCondition(id, { state: 'healing', reason: 'is gone' });
  assert.deepEqual(sources.expendable(), []);
  store.living.setCondition(id, { state: 'doubted', reason: 'was written to' });
  open.add(id);
  assert.deepEqual(sources.expendable(), [], 'the healer has yet to decide');
  open.delete(id);
  assert.deepEqual(sources.expendable().map(String), [path]);
  const [kept = -1] = store.living.keptOf(id);
  assert.equal(await sources.mapped([kept], async () => await sources.giveUp(Buffer.from(path))), false);
  assert.equal(await sources.giveUp(Buffer.from(path)), true);
  assert.equal(store.source(kept), undefined);
  assert.deepEqual(store.source(id)?.spares, []);
  await sleep(200);
  assert.equal(existsSync(path), false);
});

it('keeps a deleted film as its descriptor is closed, and one whose case is not settled at the end', async (t) => {
  for (const end of ['lastChance', 'close'] as const) {
    const all = await scene(t);
    const { fileSystem, handle, rescue, id, store, film } = all;
    store.living.setCondition(id, { state: 'healing', reason: 'is gone' });
    const file = fileSystem.openSource(id)!;
    await rescue.lastChance(file);
    assert.deepEqual(keptOf(all), [], 'it is in its place');
    rmSync(film);
    if (end === 'close') await rescue.close();
    else {
      file.begin();
      await fileSystem.release(handle);
      await rescue.lastChance(file);
      file.done();
    }
    assert.equal(keptOf(all).length, 1, end);
  }
});

it('keeps the beginning of a film while a writer waits, and all of it before it is lost', async (t) => {
  const all = await scene(t, { hurried: true });
  const { fileSystem, rescue, id, store, film, bytes, said } = all;
  await rescue.beforeWrite(id, fileSystem.openSource(id)!);
  const [path = ''] = keptOf(all);
  assert.equal(readFileSync(path).equals(bytes.subarray(0, 100_000)), true);
  assert.equal(store.source(store.living.keptOf(id)[0]!)?.size, 100_000);
  assert.match(said.join('\n'), /film\.mkv is written to: 50000 bytes of it could not be kept in time$/);
  rescue.offered(id, store.living.keptOf(id), 'healer');
  // Nobody has written.
  rmSync(film);
  assert.equal(await rescue.beforeLoss(id, 'healer'), 'kept');
  const [, whole = ''] = keptOf(all);
  assert.equal(readFileSync(whole).subarray(200_000, 250_000).equals(bytes.subarray(200_000, 250_000)), true);
  rescue.offered(id, store.living.keptOf(id), 'healer');
  assert.equal(await rescue.beforeLoss(id, 'healer'), 'nothing');
});

it('says once that nothing more is kept', async (t) => {
  const { rescue, id, film, said } = await scene(t, { total: 0 });
  rmSync(film);
  for (let i = 0; i < 3; i++) assert.equal(await rescue.beforeLoss(id, 'healer'), 'held');
  assert.equal(said.length, 1);
  assert.match(
    said[0] ?? '',
    /film\.mkv cannot be kept: no more than rescue_total is kept on a disk; nor may others be/,
  );
});
