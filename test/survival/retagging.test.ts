/**
 * Music and films that are tagged by real programs (`taggers.ts`) while they are served, open in a client or closed a while
 * before: the torrents stay whole, nothing is downloaded, and no more is kept than the pieces that changed.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EntryJson, StatusJson } from '../../src/cli/json.ts';
import type { FileSystemKind } from '../harness/file-systems.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import type { Person } from '../harness/person.ts';
import type { Pieces } from '../harness/piece-reader.ts';
import { type Film, filmOf, PIECE_LENGTH } from './films.ts';
import { Scene } from './scene.ts';
import { WHOLE } from './setting.ts';
import { TAGGINGS, type Tagging, tag } from './taggers.ts';

const SETTLED_MS = 120_000;
const AGAIN_MS = 250;

interface Tagged {
  readonly tagging: Tagging;
  readonly film: Film;
  readonly path: string;
  /** The descriptor of a client that has it open all the time. */
  readonly fd: number | undefined;
}

const KINDS: readonly FileSystemKind[] = WHOLE ? ['ext4', 'xfs', 'btrfs'] : ['ext4'];
const PERSONS: readonly Person['name'][] = WHOLE ? ['root', 'user'] : ['user'];

describe('files that are tagged while they are served', { skip: NEEDS_ROOT, timeout: 900_000 }, () => {
  for (const kind of KINDS) {
    for (const person of PERSONS) {
      for (const reader of ['open', 'closed'] as const) {
        const times = reader === 'open' ? 'while a client has them open' : 'after their last reader has closed them';
        it(`stay whole on ${kind}, as ${person}, ${times}`, async (t) => {
          const scene = await Scene.make({ kind, person, general: ['scrub = off'] });
          try {
            const taggings = TAGGINGS.filter(({ short }) => WHOLE || short === reader);
            const tagged = await laid(scene, taggings, reader);
            await retag(scene, tagged);
            for (const { files, bytes } of (await status(scene)).kept) t.diagnostic(`${files} kept, ${bytes} bytes`);
          } finally {
            await scene.end();
          }
        });
      }
    }
  }
});

/** Serves a file for each tagging, read once. */
async function laid(scene: Scene, taggings: readonly Tagging[], reader: 'open' | 'closed'): Promise<Tagged[]> {
  const made = taggings.map((tagging, i) => {
    const name = `${i} ${tagging.name}.${tagging.kind}`.replaceAll(/[^\w. ]/g, '');
    const path = join(scene.library, name);
    tagging.make(path, `${tagging.name} ${reader}`);
    scene.write(path, readFileSync(path));
    return { tagging, path, film: filmOf(name, readFileSync(path)) };
  });
  await scene.run('rebuild');
  await scene.mount();
  await scene.add(made.map(({ film }) => film));
  const tagged: Tagged[] = [];
  for (const one of made) {
    const fd = reader === 'open' ? await scene.reader.open(scene.pathOf(one.film)) : undefined;
    tagged.push({ ...one, fd });
    assert.equal((await read(scene, { ...one, fd })).good, one.film.hashes.length, one.film.name);
  }
  return tagged;
}

async function retag(scene: Scene, tagged: readonly Tagged[]): Promise<void> {
  for (const { tagging, path } of tagged) tag(tagging, path);
  const began = performance.now();
  for (const one of tagged) await whole(scene, one, 'at once');
  // Until the healer has nothing to do, and what is not needed is let go, each reading is right.
  while (!(await isSettled(scene, tagged))) {
    if (performance.now() - began > SETTLED_MS) {
      const { healer, sources, kept } = await status(scene);
      const found = JSON.stringify({ healer, sources, kept, changed: tagged.map(changedPieces) });
      const shown = await Promise.all(tagged.map(async ({ film }) => (await scene.run('show', film.name)).stdout));
      assert.fail([found, ...shown, scene.output()].join('\n'));
    }
    for (const one of tagged) await whole(scene, one, 'while it is healed');
    await sleep(AGAIN_MS);
  }
  for (const one of tagged) await whole(scene, one, 'healed');
  for (const { fd } of tagged) if (fd !== undefined) await scene.reader.close(fd);
  await expectNothingDownloaded(scene);
  await scene.unmount();
  await scene.mount();
  for (const { film, tagging } of tagged) expectWhole(await scene.read(film), film, `${tagging.name}, restarted`);
}

/** Expects that all pieces are read right. While a piece waits for the healer, it may be asked for again. */
async function whole(scene: Scene, one: Tagged, when: string): Promise<void> {
  expectWhole(await read(scene, one), one.film, `${one.tagging.name}, ${when}`);
}

function expectWhole({ good, wrong, failed }: Pieces, { hashes }: Film, what: string): void {
  assert.deepEqual({ good, wrong, failed }, { good: hashes.length, wrong: [], failed: {} }, what);
}

async function read(scene: Scene, { film, fd }: Tagged): Promise<Pieces> {
  return fd === undefined ? await scene.read(film) : await scene.reader.pieces([fd], film);
}

async function status(scene: Scene): Promise<StatusJson> {
  return (await scene.autotorrent.json('status')) as StatusJson;
}

/** Tells if no case is open, and no more is kept than the pieces that changed. */
async function isSettled(scene: Scene, tagged: readonly Tagged[]): Promise<boolean> {
  const { healer, sources, kept } = await status(scene);
  assert.equal(sources.lost, 0);
  const changed = tagged.reduce((sum, one) => sum + changedPieces(one), 0);
  const bytes = kept.reduce((sum, one) => sum + one.bytes, 0);
  return healer.open === 0 && sources.healing === 0 && bytes <= changed * PIECE_LENGTH;
}

/** Counts the pieces that the file does not have any more. */
function changedPieces({ film, path }: Tagged): number {
  const now = readFileSync(path);
  const pieces = film.hashes.map((_, i) => film.bytes.subarray(i * PIECE_LENGTH, (i + 1) * PIECE_LENGTH));
  return pieces.filter((piece) => !now.includes(piece)).length;
}

async function expectNothingDownloaded(scene: Scene): Promise<void> {
  for (const entry of (await scene.autotorrent.json('list')) as readonly EntryJson[]) {
    assert.deepEqual([entry.missing_bytes, entry.downloaded_bytes], [0, 0], entry.name);
  }
}
