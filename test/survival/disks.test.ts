/** Disks that are mounted elsewhere, or go away and come back: whole ones, and a branch of a pool. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StatusJson } from '../../src/cli/json.ts';
import { waitUntil } from '../harness/daemon.ts';
import { FILE_SYSTEM_KINDS, type FileSystemKind } from '../harness/file-systems.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import type { Person } from '../harness/person.ts';
import { Scene } from './scene.ts';
import { laySeries, readSeries, type Series } from './series.ts';
import { WHOLE } from './setting.ts';

const EPISODES = 40;
/** Milliseconds for which a disk is away. */
const AWAY_MS = WHOLE ? 60_000 : 3000;
const SETTLED_MS = 60_000;
/** Milliseconds for all: six disks are away one after the other. */
const LIMIT_MS = WHOLE ? 1_800_000 : 600_000;

const PERSONS: readonly Person['name'][] = ['root', 'user'];

describe('disks', { skip: NEEDS_ROOT, timeout: LIMIT_MS, concurrency: WHOLE ? 1 : 2 }, () => {
  for (const kind of FILE_SYSTEM_KINDS) {
    for (const person of PERSONS) {
      const isShort = kind === 'btrfs' ? person === 'root' : kind === 'fuse' && person === 'user';
      it(`${kind}, as ${person}: mounted elsewhere, and back`, { skip: !(WHOLE || isShort) }, async () => {
        await inScene(kind, person, async (scene, series) => await mountedElsewhere(scene, series));
      });
    }
    const isShort = kind === 'xfs';
    it(`${kind}: away for a while, and back`, { skip: !(WHOLE || isShort) }, async () => {
      await inScene(kind, 'root', async (scene, series) => await away(scene, series));
    });
  }

  for (const person of PERSONS) {
    it(`mergerfs, as ${person}: a branch is away, and back`, { skip: !WHOLE && person === 'root' }, async () => {
      // What is held would be read on: a branch that is unmounted lazily is there as long as a file of it is open.
      const general = ['hold_sources = 0'];
      await inScene('mergerfs', person, async (scene, series) => await branchAway(scene, series), general);
    });
  }
});

/** Serves a series that lies on a file system. */
async function inScene(
  kind: FileSystemKind,
  person: Person['name'],
  work: (scene: Scene, series: Series) => Promise<void>,
  general: readonly string[] = [],
): Promise<void> {
  const scene = await Scene.make({ kind, person, general });
  try {
    const series = laySeries(scene, 'Series', EPISODES);
    await scene.run('rebuild');
    await scene.mount();
    await scene.add([series]);
    await expectServed(scene, series);
    await work(scene, series);
  } finally {
    await scene.end();
  }
}

async function mountedElsewhere(scene: Scene, series: Series): Promise<void> {
  const places = [join(scene.elsewhere, 'its new place'), scene.fileSystem.path];
  for (const place of places) {
    await scene.run('release', places.find((one) => one !== place)!);
    await scene.fileSystem.umount();
    await scene.fileSystem.mount(place);
    await expectServed(scene, series);
    const sources = await scene.sourcesOf(series);
    assert.ok(
      sources.every((source) => source.startsWith(`${place}/`)),
      sources.join('\n'),
    );
    await scene.unmount();
    await scene.mount();
    await expectServed(scene, series);
  }
}

async function away(scene: Scene, series: Series): Promise<void> {
  await scene.run('release', scene.fileSystem.path);
  await scene.fileSystem.umount();
  await expectWaiting(scene, series, AWAY_MS);
  await scene.fileSystem.mount();
  await expectServed(scene, series);
  await expectTrusted(scene);
}

async function branchAway(scene: Scene, series: Series): Promise<void> {
  const { branches, path } = scene.fileSystem;
  const onBranch = (branch: string): typeof series.episodes =>
    series.episodes.filter(({ name }) => existsSync(join(branch, series.folder.slice(path.length), name)));
  const branch = branches.find((one) => onBranch(one).length > EPISODES / 4)!;
  const gone = onBranch(branch);
  await scene.fileSystem.detachBranch(branch);
  await expectWaiting(scene, { ...series, episodes: gone }, AWAY_MS);
  await scene.fileSystem.attachBranch(branch);
  await expectServed(scene, series);
}

/** Expects that all is served right soon, and nothing is wrong meanwhile. */
async function expectServed(scene: Scene, series: Series): Promise<void> {
  const began = performance.now();
  for (;;) {
    const { good, wrong, failed } = await readSeries(scene, series, series.episodes);
    assert.deepEqual(wrong, []);
    if (good === series.episodes.length) return;
    assert.ok(performance.now() - began < SETTLED_MS, failed.join('\n'));
    await sleep(250);
  }
}

/** Expects that sources wait, and none is lost, for some time in which they are asked for. */
async function expectWaiting(scene: Scene, { name, episodes, ...series }: Series, ms: number): Promise<void> {
  const began = performance.now();
  let waited = false;
  while (!waited || performance.now() - began < ms) {
    const read = await readSeries(scene, { ...series, name, episodes }, episodes);
    assert.deepEqual(read.wrong, []);
    const { sources } = (await scene.autotorrent.json('status')) as StatusJson;
    assert.equal(sources.lost, 0, 'nothing is given up');
    waited = sources.waiting.reduce((sum, { sources: count }) => sum + count, 0) === episodes.length;
    assert.ok(waited || performance.now() - began < SETTLED_MS, JSON.stringify(sources));
    if (waited) assert.equal(read.good, 0, 'what waits is not served');
    await sleep(500);
  }
}

async function expectTrusted(scene: Scene): Promise<void> {
  await waitUntil(
    'all sources are trusted',
    async () => {
      const { sources } = (await scene.autotorrent.json('status')) as StatusJson;
      return sources.doubted === 0 && sources.healing === 0 && sources.lost === 0 && sources.waiting.length === 0;
    },
    { limitMs: SETTLED_MS },
  );
}
