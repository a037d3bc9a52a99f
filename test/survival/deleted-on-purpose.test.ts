/** Who deletes films means it: nothing waits for them, and nothing of them is downloaded again. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EntryJson, FileJson, StatusJson } from '../../src/cli/json.ts';
import { makeTorrent } from '../harness/make-torrent.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import type { HashedFiles } from '../harness/piece-reader.ts';
import { hashesOf, PIECE_LENGTH, randomBytesOf } from './films.ts';
import { Scene } from './scene.ts';
import { WHOLE } from './setting.ts';

const FILMS = 100;
const DELETED_MS = 60_000;

describe('100 films deleted on purpose', { skip: NEEDS_ROOT, timeout: 600_000 }, () => {
  for (const person of WHOLE ? (['root', 'user'] as const) : (['user'] as const)) {
    it(`as ${person}: they are lost at once, and stay so`, async () => {
      // Nobody has had one open lately: what is held would be kept as far as `rescue_total` goes.
      const scene = await Scene.make({ kind: 'ext4', person, general: ['hold_sources = 0'] });
      try {
        await deleted(scene);
      } finally {
        await scene.end();
      }
    });
  }
});

async function deleted(scene: Scene): Promise<void> {
  // Those that stay are fewer than those that go.
  const films = Array.from({ length: FILMS + 10 }, (_, number) => filmOf(number));
  for (const { name, bytes } of films) scene.write(join(scene.library, `${name} (2019)`, name), bytes);
  await scene.run('rebuild');
  await scene.mount();
  await scene.add(films);
  for (const film of films) {
    const { good } = await scene.reader.piecesOf([join(scene.autotorrent.storePath, film.name, film.name)], film);
    assert.equal(good, 4);
  }
  // What was read last is followed a moment later.
  await sleep(2000);
  const gone = films.slice(0, FILMS);
  // A file, or its folder: as programs that manage films do.
  const paths = gone.map(({ name }, i) => join(scene.library, `${name} (2019)`, i % 2 === 0 ? '' : name));
  execFileSync('rm', ['-r', ...paths]);

  const began = performance.now();
  let sources: StatusJson['sources'];
  do {
    await sleep(500);
    ({ sources } = (await scene.autotorrent.json('status')) as StatusJson);
    assert.deepEqual(sources.waiting, [], 'nothing waits for what was deleted');
  } while (sources.lost < FILMS && performance.now() - began < DELETED_MS);
  assert.deepEqual(sources, { doubted: 0, healing: 0, lost: FILMS, waiting: [] });

  const entries = (await scene.autotorrent.json('list')) as readonly EntryJson[];
  const lost = entries.filter(({ health }) => health === 'lost').map(({ name }) => name);
  assert.deepEqual(lost.toSorted(), gone.map(({ name }) => name).toSorted());
  for (const { name } of gone.slice(0, 2)) {
    const { file_list: files } = (await scene.autotorrent.json('show', name)) as { file_list: readonly FileJson[] };
    const kinds = files.flatMap(({ extents }) => extents.map(({ kind, source_state }) => [kind, source_state]));
    // A gap would be downloaded.
    assert.deepEqual(kinds, [['source', 'lost']]);
  }
}

interface Film extends HashedFiles {
  readonly name: string;
  readonly bytes: Buffer;
  readonly torrent: Buffer;
}

function filmOf(number: number): Film {
  const name = `film ${number}.mkv`;
  const bytes = randomBytesOf(name, 3 * PIECE_LENGTH + 16 * number + 100);
  const { raw } = makeTorrent({ name, content: bytes, pieceLength: PIECE_LENGTH });
  return {
    name,
    bytes,
    torrent: raw,
    lengths: [bytes.length],
    pieceLength: PIECE_LENGTH,
    hashes: hashesOf(bytes),
  };
}
