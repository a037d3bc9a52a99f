/** What commands do with pins: of two entries with one source, on a disk that is released, after a move, and when pieces are hashed. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rmSync, utimesSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitUntil } from '../harness/daemon.ts';
import { makeTorrent } from '../harness/make-torrent.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { type Film, hashesOf, PIECE_LENGTH, randomBytesOf } from './films.ts';
import { isWhole, pinned, pinsOn } from './pinned-films.ts';
import type { Scene } from './scene.ts';
import { WHOLE } from './setting.ts';

/** Another torrent of the same film, with larger pieces. */
function again({ name, bytes }: Film): Film & { readonly entry: string } {
  const { raw, infoHash } = makeTorrent({ name, content: bytes, pieceLength: 2 * PIECE_LENGTH });
  const entry = `Again ${name}`;
  return {
    name: entry,
    entry: name,
    bytes,
    torrent: raw,
    infoHash,
    lengths: [bytes.length],
    pieceLength: 2 * PIECE_LENGTH,
    hashes: hashesOf(bytes, 2 * PIECE_LENGTH),
  };
}

async function isWholeAgain(scene: Scene, film: ReturnType<typeof again>): Promise<void> {
  const path = join(scene.autotorrent.storePath, film.name, film.entry);
  const { good, wrong } = await scene.reader.piecesOf([path], film);
  assert.deepEqual([good, wrong], [film.hashes.length, []], film.name);
}

async function writeInto(path: string): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(randomBytesOf('other', 300_000), 0, 300_000, 100_000);
  await file.close();
}

describe('a pin', { skip: NEEDS_ROOT, timeout: 600_000 }, () => {
  for (const [kind, by] of [
    ['btrfs', 'reflink'],
    ['ext4', 'hardlink'],
  ] as const) {
    const skip = !WHOLE && kind !== 'ext4';
    it(`of two entries goes with the last of them (${kind}, ${by})`, { skip }, async () => {
      await pinned(kind, by, 2, async ({ scene, films, pathOf }) => {
        const [film, other] = films as [Film, Film];
        const second = again(film);
        await scene.add([second]);
        await sleep(2000);
        assert.equal(pinsOn(scene).length, 2);
        await scene.run('remove', film.name);
        rmSync(pathOf(film));
        await isWholeAgain(scene, second);
        assert.equal(pinsOn(scene).length, 2);
        await scene.run('remove', second.name);
        await waitUntil('the end of the pin', async () => pinsOn(scene).length === 1);
        // The first entry may go before anybody has looked at the second one.
        const third = again(other);
        await scene.add([third]);
        await scene.run('remove', other.name);
        await sleep(2000);
        await waitUntil('the pin of the other', async () => pinsOn(scene).length === 1);
        rmSync(pathOf(other));
        await isWholeAgain(scene, third);
      });
    });
  }

  it('on a disk that is released lets it be unmounted, and protects it when it is back', async () => {
    await pinned('xfs', 'reflink', 2, async ({ scene, films, pathOf }) => {
      const [film, deleted] = films as [Film, Film];
      for (const one of films) await isWhole(scene, one);
      rmSync(pathOf(deleted));
      await isWhole(scene, deleted);
      await scene.run('release', scene.fileSystem.path);
      await scene.fileSystem.umount();
      const { code, stdout } = await scene.autotorrent.run('protect');
      assert.equal(code, 3, stdout);
      await scene.fileSystem.mount();
      await waitUntil('the disk', async () => (await scene.health(film)) === 'ok');
      await writeInto(pathOf(film));
      await isWhole(scene, film);
      await isWhole(scene, deleted);
    });
  });

  it('of a film that was moved to another disk has what is written to there, and else the film is read', async () => {
    await pinned('xfs', 'reflink', 1, async ({ scene, films, pathOf }) => {
      const [film] = films as [Film];
      await scene.unmount();
      const to = join(scene.elsewhere, film.name);
      execFileSync('mv', [pathOf(film), to]);
      await scene.mount();
      const { stdout } = await scene.run('relocate', scene.library, scene.elsewhere);
      assert.match(stdout, /^1 source\(s\) are recorded below/);
      assert.equal(pinsOn(scene).length, 1);
      await isWhole(scene, film);
      // Pieces of the pin itself would prove nothing of the film.
      await waitUntil('trust', async () => (await scene.health(film)) === 'ok');
      await writeInto(to);
      await isWhole(scene, film);
      assert.ok((await scene.sourcesOf(film)).includes(to));
    });
  });

  it('is no obstacle to scrub and verify', async () => {
    await pinned('btrfs', 'reflink', 3, async ({ scene, films, pathOf }) => {
      const [written, deleted, touched] = films as [Film, Film, Film];
      await writeInto(pathOf(written));
      rmSync(pathOf(deleted));
      utimesSync(pathOf(touched), 1e9, 1e9);
      await scene.run('verify');
      await scene.run('scrub', '--all');
      for (const film of films) {
        await isWhole(scene, film);
        await waitUntil('trust', async () => (await scene.health(film)) === 'ok');
      }
    });
  });
});
