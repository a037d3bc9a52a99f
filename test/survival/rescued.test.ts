/** What would be lost of films that are open is kept on their disk. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, lstatSync, mkdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StatusJson } from '../../src/cli/json.ts';
import type { FileSystemKind } from '../harness/file-systems.ts';
import { asOtherUser, NEEDS_ROOT } from '../harness/other-user.ts';
import { type Film, makeFilm, PIECE_LENGTH, PIECES } from './films.ts';
import { isKept, keptIn } from './kept-on-disk.ts';
import { Scene, type SceneOptions } from './scene.ts';
import { WHOLE } from './setting.ts';

// Files that nobody uses are closed soon.
process.env['AUTOTORRENT_HOLD_IDLE_MS'] = '3000';
const LONG = WHOLE ? false : 'only in npm run test:survival';
const SETTLED_MS = 90_000;
const ALL = { good: PIECES, wrong: 0 };

describe('what would be lost', { skip: NEEDS_ROOT, timeout: 600_000, concurrency: 2 }, () => {
  const kinds: readonly FileSystemKind[] = WHOLE ? ['ext4', 'xfs', 'btrfs', 'mergerfs'] : ['btrfs'];
  for (const kind of kinds) {
    it(`on ${kind}: is kept of a film that is deleted with no other copy, over kill -9`, async () => {
      await using(kind, async (scene, [film]) => {
        const path = pathOf(scene, film);
        const fd = await opened(scene, film);
        rmSync(path);
        await until(scene, film, (source) => isKept(source));
        assert.deepEqual(await counted(scene, film), ALL);
        await scene.reader.close(fd);
        await scene.unmount('SIGKILL');
        const [file = ''] = keptIn(scene);
        // What a server had kept that was killed before it recorded it.
        const left = join(dirname(dirname(file)), '0123456789abcdef', 'left.mkv');
        mkdirSync(dirname(left), { mode: 0o700 });
        writeFileSync(left, 'left');
        await scene.mount();
        assert.deepEqual(await counted(scene, film), ALL);
        await soon(() => !existsSync(left), 'what no record names is deleted');
        assert.deepEqual(keptIn(scene), [file]);
        const { sources, kept } = (await scene.autotorrent.json('status')) as StatusJson;
        assert.deepEqual([sources.lost, sources.healing, sources.waiting], [0, 0, []]);
        assert.deepEqual(
          kept.map(({ folder, files }) => [folder, files]),
          [[scene.fileSystem.path, 1]],
        );
        assert.match((await scene.run('status')).stdout, /^kept {5}.*: 1 file\(s\), 987\.1 kB$/m);
        assert.match((await scene.run('show', film.name)).stdout, /← .*\/\.autotorrent\/.* \(kept(, doubted)?\)$/m);
        await scene.run('remove', film.name);
        assert.deepEqual(keptIn(scene), [], 'it goes with its last entry');
      });
    });
  }

  for (const kind of WHOLE ? (['ext4', 'xfs', 'btrfs'] as const) : (['ext4'] as const)) {
    it(`on ${kind}: is kept of a film before another program's first byte`, async () => {
      await using(kind, async (scene, [film, other]) => {
        for (const one of [film, other]) await opened(scene, one);
        await soon(async () => ((await scene.autotorrent.json('status')) as StatusJson).leases.held === 2, 'leases');
        const path = pathOf(scene, film);
        // Written anew from its beginning, as tag editors do, and a little overwritten.
        const began = performance.now();
        await write(path, Buffer.concat([randomBytes(333), film.bytes.subarray(100)]), 'w');
        await write(pathOf(scene, other), randomBytes(100), 'r+');
        assert.ok(performance.now() - began < 2000, 'the writers wait for a moment');
        for (const one of [film, other]) {
          await until(scene, one, (...sources) => sources.some(isKept) && sources.includes(pathOf(scene, one)));
          assert.deepEqual(await counted(scene, one), ALL, one.name);
        }
        await scene.unmount('SIGKILL');
        await scene.mount();
        for (const one of [film, other]) assert.deepEqual(await counted(scene, one), ALL, one.name);
      });
    });

    it(`on ${kind}: is let go if nobody has written`, { skip: LONG }, async () => {
      await using(kind, async (scene, [film]) => {
        await opened(scene, film);
        await soon(async () => ((await scene.autotorrent.json('status')) as StatusJson).leases.held === 1, 'a lease');
        const file = await open(pathOf(scene, film), 'r+');
        assert.equal(keptIn(scene).length, 1);
        await file.close();
        await soon(() => keptIn(scene).length === 0, 'it is deleted');
        assert.deepEqual(await scene.sourcesOf(film), [pathOf(scene, film)]);
        assert.deepEqual(await counted(scene, film), ALL);
      });
    });
  }

  for (const kind of ['ext4', 'xfs', 'btrfs', 'mergerfs'] as const) {
    const title = `on ${kind}: of a film that a tag editor replaced, only the pieces are kept that the new file lacks`;
    it(title, { skip: LONG }, async () => {
      await using(kind, async (scene, [film]) => {
        const path = pathOf(scene, film);
        const fd = await opened(scene, film);
        writeFileSync(`${path}.new`, Buffer.concat([randomBytes(333), film.bytes.subarray(100)]));
        renameSync(`${path}.new`, path);
        await until(scene, film, (...sources) => sources.some(isKept) && sources.includes(path));
        assert.deepEqual(await counted(scene, film), ALL);
        const [kept = '', ...more] = keptIn(scene);
        assert.deepEqual(more, []);
        await soon(() => statSync(kept).blocks * 512 <= 2 * PIECE_LENGTH, 'all else are holes');
        assert.deepEqual(await counted(scene, film), ALL);
        await scene.reader.close(fd);
        await scene.unmount('SIGKILL');
        await scene.mount();
        assert.deepEqual(await counted(scene, film), ALL);
      });
    });
  }

  it('is kept at the end of the server, or when a file was held for long enough', { skip: LONG }, async () => {
    await using('ext4', async (scene, [film, other]) => {
      const fd = await opened(scene, film);
      await scene.reader.close(fd);
      await opened(scene, other);
      for (const one of [film, other]) rmSync(pathOf(scene, one));
      await soon(() => keptIn(scene).length === 1, 'the one that nobody uses is kept as it is closed');
      assert.deepEqual(await counted(scene, film), ALL);
      await scene.unmount();
      assert.equal(keptIn(scene).length, 2);
      await scene.mount();
      for (const one of [film, other]) assert.deepEqual(await counted(scene, one), ALL, one.name);
    });
  });

  it('is kept for those who could read it, and for no others', { skip: LONG }, async () => {
    await using(
      'btrfs',
      async (scene, [film, secret]) => {
        for (const one of [film, secret]) await opened(scene, one);
        const modeOf = async ({ name }: Film): Promise<string> => {
          const path = join(scene.autotorrent.storePath, name, name);
          return (await asOtherUser('stat -c %A "$1"; head -c 100 "$1" | wc -c', path)).stdout;
        };
        const before = [await modeOf(film), await modeOf(secret)];
        for (const one of [film, secret]) rmSync(pathOf(scene, one));
        for (const one of [film, secret]) await until(scene, one, isKept);
        for (const kept of keptIn(scene)) {
          assert.equal((await asOtherUser('cat "$1"', kept)).code, 1, `${kept} is closed to others`);
        }
        assert.deepEqual([await modeOf(film), await modeOf(secret)], before);
        const modes = keptIn(scene).map((kept) => lstatSync(kept).mode & 0o007);
        assert.deepEqual(
          modes.toSorted((a, b) => a - b),
          [0, 0o004],
        );
      },
      { secret: 1 },
    );
  });

  it('is no more than rescue_total: the rest is read as long as it is open, which is said once', {
    skip: LONG,
  }, async () => {
    const films = 8;
    await using(
      'ext4',
      async (scene, all) => {
        const fds = new Map<Film, number>();
        for (const film of all) fds.set(film, await opened(scene, film));
        for (const film of all) rmSync(pathOf(scene, film));
        await soon(async () => {
          const sources = await Promise.all(all.map(async (film) => await scene.sourcesOf(film)));
          return sources.flat().filter(isKept).length === 2 && scene.output().includes('rescue_total');
        }, 'two are kept');
        await sleep(3000);
        for (const film of all) assert.deepEqual(await counted(scene, film), ALL, film.name);
        assert.equal(scene.output().split('rescue_total').length - 1, 1);
        for (const fd of fds.values()) await scene.reader.close(fd);
      },
      { films, general: ['rescue_total = 2 MB'] },
    );
  });
});

interface Options {
  readonly films?: number;
  readonly general?: SceneOptions['general'];
  /** The number of a film that nobody else may read. */
  readonly secret?: number;
}

/** Makes films that are seeded from a file system of this kind. */
async function using(
  kind: FileSystemKind,
  work: (scene: Scene, films: readonly [Film, Film, ...Film[]]) => Promise<void>,
  { films = 2, general = [], secret = -1 }: Options = {},
): Promise<void> {
  const scene = await Scene.make({ kind, person: 'root', general });
  try {
    const all = Array.from({ length: films }, (_, i) => makeFilm(`film ${i}.mkv`, i)) as [Film, Film, ...Film[]];
    for (const [i, film] of all.entries()) {
      scene.write(pathOf(scene, film), film.bytes);
      if (i === secret) chmodSync(pathOf(scene, film), 0o600);
    }
    await scene.run('rebuild');
    await scene.mount();
    await scene.add(all);
    await work(scene, all);
  } finally {
    await scene.end();
  }
}

/** Writes to the beginning of a file, by another thread: the kernel holds it up. */
async function write(path: string, bytes: Buffer, flags: 'w' | 'r+'): Promise<void> {
  const file = await open(path, flags);
  await file.write(bytes, 0, bytes.length, 0);
  await file.close();
}

const pathOf = (scene: Scene, { name }: Film): string => join(scene.library, name);

/** Opens a film through the mount, as a client has it open that seeds. */
async function opened(scene: Scene, film: Film): Promise<number> {
  const fd = await scene.reader.open(scene.pathOf(film));
  const { good } = await scene.reader.pieces([fd], film);
  assert.equal(good, PIECES, film.name);
  return fd;
}

async function counted(scene: Scene, film: Film): Promise<{ good: number; wrong: number }> {
  const { good, wrong } = await scene.read(film);
  return { good, wrong: wrong.length };
}

/** Waits until a film is mapped to sources as they should be. */
async function until(scene: Scene, film: Film, are: (...sources: string[]) => boolean): Promise<void> {
  await soon(async () => are(...(await scene.sourcesOf(film))), `the sources of ${film.name}`, scene);
}

async function soon(holds: () => boolean | Promise<boolean>, what: string, scene?: Scene): Promise<void> {
  const began = performance.now();
  while (!(await holds())) {
    assert.ok(performance.now() - began < SETTLED_MS, `${what}\n${scene?.output() ?? ''}`);
    await sleep(250);
  }
}
