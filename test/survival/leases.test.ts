/** Programs that open sources for writing while they are seeded: they wait until the server knows, and no piece is ever wrong. */
import assert from 'node:assert/strict';
import { chownSync, lstatSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FileJson, StatusJson } from '../../src/cli/json.ts';
import { waitUntil } from '../harness/daemon.ts';
import type { FileSystemKind } from '../harness/file-systems.ts';
import { LeaseHolder, NEEDS_BREAK_TIME, withBreakTime } from '../harness/lease-holder.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import type { Person } from '../harness/person.ts';
import { type Opening, Writer } from '../harness/writer.ts';
import { type Film, makeFilm, PIECE_LENGTH, PIECES } from './films.ts';
import { keptIn } from './kept-on-disk.ts';
import { Scene } from './scene.ts';
import { WHOLE } from './setting.ts';

/** Milliseconds for which an editor has a film open: the lease is tried again some times meanwhile. */
const OPEN_MS = WHOLE ? 11 * 60_000 : 3000;
/** Milliseconds after that: the longest pause between two tries, and what follows. */
const AFTER_MS = 120_000;

interface ShownJson {
  readonly file_list: readonly FileJson[];
}

/** A film that a client has open. */
interface Seeded {
  readonly scene: Scene;
  readonly film: Film;
  readonly path: string;
  /** The client's descriptor. */
  readonly open: number;
}

const status = async (scene: Scene): Promise<StatusJson> => (await scene.autotorrent.json('status')) as StatusJson;

async function seeded(
  kind: FileSystemKind,
  person: Person['name'],
  work: (seeded: Seeded, start: (how?: Opening) => Promise<Writer>, endAll: () => Promise<void>) => Promise<void>,
  prepare: (path: string) => void = () => {},
): Promise<void> {
  const scene = await Scene.make({ kind, person });
  const writers: Writer[] = [];
  const endAll = async (): Promise<void> => {
    for (const writer of writers) await writer.close();
  };
  try {
    const film = makeFilm('Film.mkv', 0);
    const path = join(scene.library, film.name);
    scene.write(path, film.bytes);
    prepare(path);
    await scene.run('rebuild');
    await scene.mount();
    await scene.add([film]);
    const open = await scene.reader.open(scene.pathOf(film));
    const start = async (how?: Opening): Promise<Writer> => {
      const writer = await Writer.start(path, how);
      writers.push(writer);
      return writer;
    };
    await work({ scene, film, path, open }, start, endAll);
  } finally {
    await endAll();
    await scene.end();
  }
}

async function untilLeased({ scene }: Seeded, limitMs = 60_000): Promise<void> {
  await waitUntil('the lease', async () => (await status(scene)).leases.held === 1, { limitMs });
}

const keptOf = ({ scene }: Seeded): string[] => keptIn(scene);
const roomOf = (kept: readonly string[]): number => kept.reduce((sum, path) => sum + lstatSync(path).blocks, 0);

/** Reads the film for as long as an editor has it open: no more is kept of it meanwhile, however often its lease is tried. */
async function whileOpen(one: Seeded, kept: readonly string[], pieces: number): Promise<void> {
  const room = roomOf(kept);
  for (const began = performance.now(); performance.now() - began < OPEN_MS; await sleep(OPEN_MS / 60)) {
    assert.equal(await good(one), pieces);
    assert.deepEqual(keptOf(one), kept);
    assert.ok(roomOf(kept) <= room, `${roomOf(kept)} blocks, ${room} at first`);
    assert.equal((await status(one.scene)).leases.held, 0);
  }
}

/** Tells if the film is served from its file as it is: what was kept of it goes some seconds later. */
async function isTrusted({ scene, film, path }: Seeded): Promise<boolean> {
  const { stdout } = await scene.run('show', film.name);
  const [, state] = new RegExp(`← ${path}( \\(doubted\\))?$`, 'm').exec(stdout) ?? assert.fail(stdout);
  return state === undefined;
}

/** No piece that is read is wrong. Returns the number of good ones. */
async function good({ scene, film, open }: Seeded): Promise<number> {
  const found = await scene.reader.pieces([open], film);
  assert.deepEqual(found.wrong, []);
  return found.good;
}

describe('a film that somebody opens for writing while it is seeded', { skip: NEEDS_ROOT, timeout: 600_000 }, () => {
  for (const kind of ['ext4', 'xfs', 'btrfs'] as const) {
    for (const person of ['root', 'user'] as const) {
      const skip = !WHOLE && (kind !== 'ext4' || person === 'root') && (kind !== 'btrfs' || person === 'user');
      it(`on ${kind}, as ${person}`, { skip }, async () => {
        await seeded(kind, person, async (one, start) => {
          await untilLeased(one);
          // Somebody who changes nothing.
          const looker = await start('nothing');
          const looked = await looker.opened();
          assert.ok('seconds' in looked && looked.seconds < 2, JSON.stringify(looked));
          assert.equal(await isTrusted(one), false);
          await looker.close();
          await untilLeased(one);
          assert.equal(await isTrusted(one), true);
          // An editor that writes in place.
          const editor = await start();
          const opened = await editor.opened();
          assert.ok('seconds' in opened && opened.seconds < 2, JSON.stringify(opened));
          assert.ok((await good(one)) >= PIECES - 1);
          await editor.close();
          assert.ok((await good(one)) >= PIECES - 1);
        });
      });
    }
  }

  it('has no lease on mergerfs', { skip: !WHOLE }, async () => {
    await seeded('mergerfs', 'root', async (one, start) => {
      assert.equal(await good(one), PIECES);
      assert.equal((await status(one.scene)).leases.held, 0);
      const opened = await (await start('nothing')).opened();
      assert.ok('seconds' in opened && opened.seconds < 0.5, JSON.stringify(opened));
    });
  });

  it('has no lease if it belongs to somebody else, and is served all the same', { skip: !WHOLE }, async () => {
    const work = async (one: Seeded, start: (how?: Opening) => Promise<Writer>): Promise<void> => {
      assert.equal(await good(one), PIECES);
      assert.equal((await status(one.scene)).leases.held, 0);
      await (await start()).opened();
      assert.ok((await good(one)) >= PIECES - 1);
    };
    await seeded('ext4', 'user', work, (path) => chownSync(path, 0, 0));
  });

  it('is served right after the server was stopped for longer than the kernel waits', {
    skip: NEEDS_BREAK_TIME,
  }, async () => {
    await seeded('ext4', 'root', async (one, start) => {
      await untilLeased(one);
      await withBreakTime(1, async () => {
        process.kill(one.scene.server.pid, 'SIGSTOP');
        const editor = await start();
        const opened = await editor.opened();
        assert.ok('seconds' in opened && opened.seconds > 0.5, JSON.stringify(opened));
        // The write.
        await sleep(100);
      });
      process.kill(one.scene.server.pid, 'SIGCONT');
      assert.equal(await good(one), PIECES - 1);
    });
  });

  it('is busy for who does not wait (O_NONBLOCK), and open to him a moment later', async () => {
    await seeded('ext4', 'root', async (one, start, endAll) => {
      await untilLeased(one);
      const first = await Promise.all(
        Array.from({ length: 4 }, async () => await (await start('O_NONBLOCK')).opened()),
      );
      assert.ok(first.some((opened) => 'errno' in opened));
      const others = new Set(first.flatMap((opened) => ('errno' in opened ? opened.errno : [])));
      assert.deepEqual([...others], [constants.errno.EAGAIN]);
      let opened = await start('O_NONBLOCK');
      await waitUntil('who tries again', async () => {
        if ('seconds' in (await opened.opened())) return true;
        await opened.close();
        opened = await start('O_NONBLOCK');
        return false;
      });
      assert.equal(await good(one), PIECES);
      await endAll();
      await untilLeased(one);
      assert.equal(await isTrusted(one), true);
      assert.equal(await good(one), PIECES);
    });
  });

  it('is kept once while an editor has it open, and trusted when that has changed nothing', async () => {
    await seeded('ext4', 'root', async (one, start) => {
      await untilLeased(one);
      const editor = await start('nothing');
      await editor.opened();
      const kept = keptOf(one);
      assert.equal(kept.length, 1);
      await whileOpen(one, kept, PIECES);
      await editor.close();
      await untilLeased(one, AFTER_MS);
      assert.equal(await isTrusted(one), true);
      await waitUntil('what was kept goes', async () => keptOf(one).length === 0);
      assert.equal(await good(one), PIECES);
    });
  });

  it('is kept once while an editor has it open, and lacks the piece alone that it changed', async () => {
    await seeded('ext4', 'root', async (one, start) => {
      await untilLeased(one);
      const editor = await start();
      await editor.opened();
      const kept = keptOf(one);
      assert.equal(kept.length, 1);
      await whileOpen(one, kept, PIECES);
      await editor.close();
      await waitUntil('it is mapped', async () => (await one.scene.sourcesOf(one.film)).length === 2, {
        limitMs: AFTER_MS,
      });
      assert.equal(await good(one), PIECES);
      const { file_list: files } = (await one.scene.autotorrent.json('show', one.film.name)) as ShownJson;
      const extents = files.flatMap(({ extents: all }) =>
        all.map(({ offset, length, kept: is }) => [offset, length, is]),
      );
      assert.deepEqual(extents, [
        [0, PIECE_LENGTH, true],
        [PIECE_LENGTH, one.film.bytes.length - PIECE_LENGTH, undefined],
      ]);
    });
  });

  it('is served while Samba does not give its lease back before the kernel takes it', {
    skip: WHOLE ? NEEDS_BREAK_TIME : 'only in npm run test:survival',
  }, async () => {
    await seeded('ext4', 'root', async (one) => {
      const { scene, film, path } = one;
      await scene.reader.close(one.open);
      await scene.unmount();
      await withBreakTime(1, async () => {
        const samba = await LeaseHolder.start([path]);
        await scene.mount();
        assert.equal((await scene.read(film)).good, PIECES);
        assert.deepEqual((await status(scene)).broken_sources, []);
        assert.equal(await samba.close(), 1);
      });
    });
  });

  it('is hashed, added and served while Samba holds a lease on it', { skip: !WHOLE }, async () => {
    const scene = await Scene.make({ kind: 'ext4', person: 'root' });
    try {
      const film = makeFilm('Film.mkv', 0);
      const path = join(scene.library, film.name);
      scene.write(path, film.bytes);
      const whileAdded = await LeaseHolder.start([path], 0.3);
      await scene.run('rebuild');
      await scene.mount();
      await scene.add([film]);
      assert.equal(await whileAdded.close(), 1);
      // Whoever has the file for himself is the only one who has it open.
      await scene.unmount();
      const whileRead = await LeaseHolder.start([path], 0.3);
      await scene.mount();
      assert.equal((await scene.read(film)).good, PIECES);
      assert.deepEqual((await status(scene)).broken_sources, []);
      assert.equal(await whileRead.close(), 1);
    } finally {
      await scene.end();
    }
  });

  it('is free for writers once the server was killed', async () => {
    await seeded('ext4', 'root', async (one, start) => {
      await untilLeased(one);
      process.kill(one.scene.server.pid, 'SIGSTOP');
      const editor = await start();
      await sleep(300);
      assert.equal(editor.waits, true);
      process.kill(one.scene.server.pid, 'SIGKILL');
      const opened = await editor.opened();
      assert.ok('seconds' in opened && opened.seconds < 5, JSON.stringify(opened));
    });
  });
});
