/** Files that are moved while clients read them: no read fails, and none is wrong. */
import assert from 'node:assert/strict';
import { mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitUntil } from '../harness/daemon.ts';
import { FILE_SYSTEM_KINDS } from '../harness/file-systems.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { type Film, makeFilm, PIECES } from './films.ts';
import { moveTo } from './happenings.ts';
import { Scene } from './scene.ts';
import { type Episode, laySeries, readSeries, type Series } from './series.ts';
import { WHOLE } from './setting.ts';

const MOVES = WHOLE ? 60 : 10;
const PAUSE_MS = 300;
/** Records change in batches of 500: two of them, and a part of one. */
const FILES = 1100;

describe('what is moved while it is read', { skip: NEEDS_ROOT, timeout: 1_800_000 }, () => {
  for (const kind of FILE_SYSTEM_KINDS) {
    for (const person of ['root', 'user'] as const) {
      const isShort = kind === 'ext4' && person === 'user';
      it(`a file, again and again, on ${kind} as ${person}`, { skip: !(WHOLE || isShort) }, async () => {
        const scene = await Scene.make({ kind, person });
        try {
          await moveAFile(scene);
        } finally {
          await scene.end();
        }
      });
    }
  }

  for (const person of ['root', 'user'] as const) {
    const files = WHOLE ? 10_000 : FILES;
    it(`a folder of ${files} files, as ${person}`, { skip: !WHOLE && person === 'user' }, async () => {
      const scene = await Scene.make({ kind: 'ext4', person });
      try {
        await renameAFolder(scene, files);
      } finally {
        await scene.end();
      }
    });
    it(`5,000 files, one by one, as ${person}`, { skip: !WHOLE }, async () => {
      const scene = await Scene.make({ kind: 'ext4', person });
      try {
        await renameOneByOne(scene);
      } finally {
        await scene.end();
      }
    });
  }
});

/** Every second time into another folder, which is there before: whoever renames a file into a new folder makes that first. */
async function moveAFile(scene: Scene): Promise<void> {
  const film = makeFilm('Film.mkv', 0);
  const folders = ['new', 'seen'].map((name) => join(scene.library, name));
  for (const folder of folders) mkdirSync(folder);
  let path = join(folders[0]!, film.name);
  scene.write(path, film.bytes);
  await serve(scene, film);
  const held = await scene.reader.open(scene.pathOf(film));
  const reading = whileReading([
    async () => all(film, await scene.reader.pieces([held], film)),
    async () => all(film, await scene.read(film)),
  ]);
  for (let move = 1; move <= MOVES; move++) {
    const to = join(folders[Math.floor(move / 2) % 2]!, `Film ${move}.mkv`);
    moveTo(path, to);
    path = to;
    await sleep(PAUSE_MS);
  }
  assert.deepEqual(await reading.end(), []);
  await scene.reader.close(held);
  assert.equal((await scene.read(film)).good, PIECES);
}

/** It is read from the instant of the rename on, while the records of its files follow. */
async function renameAFolder(scene: Scene, files: number): Promise<void> {
  const series = laySeries(scene, 'Series', files);
  await serve(scene, series);
  const reading = whileReading(readersOf(scene, series));
  const folder = `${series.folder} (2021)`;
  renameSync(series.folder, folder);
  // `npm run bench -- living` measures how long it takes.
  await waitUntil(
    'all are mapped at their new places',
    async () => (await scene.sourcesOf(series)).every((source) => source.startsWith(`${folder}/`)),
    { limitMs: 300_000 },
  );
  assert.deepEqual(await reading.end(), []);
  await expectAll(scene, series);
}

/** As Sonarr does: to a temporary name, then to the final one; all within a minute. */
async function renameOneByOne(scene: Scene): Promise<void> {
  const [count, ms] = [5000, 60_000];
  const series = laySeries(scene, 'Series', count);
  await serve(scene, series);
  const reading = whileReading(readersOf(scene, series));
  const began = performance.now();
  for (const [i, { name }] of series.episodes.entries()) {
    const [from, to] = [join(series.folder, name), join(series.folder, `Series - ${name}`)];
    renameSync(from, `${from}.partial~`);
    renameSync(`${from}.partial~`, to);
    const ahead = began + (i * ms) / count - performance.now();
    if (ahead > 0) await sleep(ahead);
  }
  assert.deepEqual(await reading.end(), []);
  await expectAll(scene, series);
}

async function serve(scene: Scene, torrent: Pick<Film, 'name' | 'torrent'>): Promise<void> {
  await scene.run('rebuild');
  await scene.mount();
  await scene.add([torrent]);
}

/** What is told of reads that were not right: to compare a list of thousands takes minutes. */
const MOST_TOLD = 20;

/** Reads again and again until the end; `end` gives what was not right, or the first of it. */
function whileReading(reads: readonly (() => Promise<readonly string[]>)[]): { end(): Promise<string[]> } {
  const bad: string[] = [];
  const stop = new AbortController();
  const loops = reads.map(async (read) => {
    while (!stop.signal.aborted && bad.length < MOST_TOLD) bad.push(...(await read()).slice(0, MOST_TOLD));
  });
  return {
    async end() {
      stop.abort();
      await Promise.all(loops);
      return bad;
    },
  };
}

function all(film: Film, { wrong, failed }: Awaited<ReturnType<Scene['read']>>): string[] {
  return [
    ...wrong.map((piece) => `${film.name}: piece ${piece} is wrong`),
    ...Object.entries(failed).map(([error, count]) => `${film.name}: ${count} ${error}`),
  ];
}

/** Four clients, each of which reads some episodes at once, from all over the series. */
function readersOf(scene: Scene, series: Series): (() => Promise<string[]>)[] {
  const [clients, atOnce] = [4, 8];
  return Array.from({ length: clients }, (_, client) => {
    let next = client;
    return async () => {
      const episodes: Episode[] = [];
      for (let i = 0; i < atOnce; i++) {
        // A large prime: it comes to each episode before it comes to one again.
        next = (next + 7919) % series.episodes.length;
        episodes.push(series.episodes[next]!);
      }
      const { wrong, failed } = await readSeries(scene, series, episodes);
      return [...wrong.map((name) => `${name} is wrong`), ...failed];
    };
  });
}

async function expectAll(scene: Scene, series: Series): Promise<void> {
  const { episodes } = series;
  for (let at = 0; at < episodes.length; at += 500) {
    const slice = episodes.slice(at, at + 500);
    const { good, wrong, failed } = await readSeries(scene, series, slice);
    assert.deepEqual({ good, wrong, failed }, { good: slice.length, wrong: [], failed: [] });
  }
}
