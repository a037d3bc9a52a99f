/**
 * The server is killed while it keeps what would be lost: films are written to, tagged anew, cut and deleted, all at once, and one of
 * them is as large as may be copied. The next server serves no wrong byte, whoever was let go on before the kill has lost nothing,
 * and what no record names does not stay on the disk.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import type { StatusJson } from '../../src/cli/json.ts';
import { waitUntil } from '../harness/daemon.ts';
import { type Edit, EditsAtOnce } from '../harness/edits-at-once.ts';
import type { FileSystemKind } from '../harness/file-systems.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { Random } from '../stress/random.ts';
import { type Film, filmOf, makeFilm, PIECE_LENGTH, randomBytesOf } from './films.ts';
import { keptIn, keptRecords, keptRecordsLeft } from './kept-on-disk.ts';
import { Scene } from './scene.ts';
import { WHOLE } from './setting.ts';

/** Sets the first seed, as for random.test.ts. */
const SEED = Number(process.env['SURVIVAL_SEED'] ?? (WHOLE ? Math.floor(Math.random() * 2 ** 31) : 2));
const ROUNDS = Number(process.env['SURVIVAL_ROUNDS'] ?? (WHOLE ? 8 : 2));
const KINDS: readonly FileSystemKind[] = WHOLE ? ['ext4', 'xfs', 'btrfs'] : ['ext4'];
/** `rescue_limit`, and the size of the large film. */
const LARGE = (WHOLE ? 64 : 16) * 1_000_000;
/** When the kill comes: so many milliseconds after the edits, or after the first file has begun to be kept. */
const KILLS: readonly { readonly after: 'the edits' | 'the first file'; readonly ms: readonly [number, number] }[] = [
  { after: 'the first file', ms: [0, 40] },
  { after: 'the edits', ms: [0, 2000] },
  { after: 'the first file', ms: [0, 400] },
];
/** A writer that has waited longer was let go by the limit (`leases/protocol.ts`): what is not kept by then may be lost. */
const LATE_MS = 4500;
/** Nothing may be kept, on a machine that is too busy. */
const FIRST_MS = 3000;
/** The clocks of the two programs, and the time in which a signal comes. */
const DOUBT_MS = 5;
const MIDDLE = 30 * PIECE_LENGTH + 500;
const KINDS_OF_EDITS: readonly Edit['kind'][] = ['write', 'anew', 'truncate', 'delete'];
const OF_EACH = WHOLE ? 5 : 3;
const ROOM = { bytes: ROUNDS * 3 * (LARGE + 25_000_000) + 256_000_000, files: 20_000 };

/** A film, and the pieces of it that must be served. */
interface Required {
  readonly film: Film;
  readonly least: number;
}

/** A film, and what is done to it. */
interface Changed {
  readonly film: Film;
  readonly edit: Edit;
}

describe('a server that is killed while it keeps what would be lost', { skip: NEEDS_ROOT, timeout: 3_600_000 }, () => {
  for (const [i, kind] of KINDS.entries()) {
    it(`on ${kind}, from seed ${SEED + i} on`, async (test) => {
      const general = ['on_loss = tell', 'scrub = off', `rescue_limit = ${LARGE / 1e6} MB`];
      const scene = await Scene.make({ kind, person: 'root', general, room: ROOM });
      try {
        const random = new Random(SEED + i);
        const rounds = Array.from({ length: ROUNDS }, (_, round) => laid(scene, round));
        await scene.run('rebuild');
        await scene.mount();
        await scene.add(rounds.flat().map(({ film }) => film));
        for (const [round, films] of rounds.entries()) {
          const { after, ms } = KILLS[round % KILLS.length]!;
          test.diagnostic(await killed(scene, films, after, random.between(...ms)));
        }
        // A kill may have left any of them otherwise than the one before.
        if (WHOLE) await allOf(rounds.flat(), async ({ film }) => void (await read(scene, film)));
        await scene.run('remove', ...rounds.flat().map(({ film }) => film.name));
        await waitUntil('all goes with the last entries', async () => keptIn(scene).length === 0);
      } finally {
        await scene.end();
      }
    });
  }
});

/** Lays the films of a round. */
function laid(scene: Scene, round: number): Changed[] {
  const one = (film: Film, kind: Edit['kind']): Changed => {
    const path = join(scene.library, film.name);
    scene.write(path, film.bytes);
    return { film, edit: { path, kind, offset: kind === 'anew' ? 100 : MIDDLE } };
  };
  const large = one(filmOf(`large ${round}.mkv`, randomBytesOf(`large ${round}`, LARGE)), 'write');
  const small = KINDS_OF_EDITS.flatMap((kind) =>
    Array.from({ length: OF_EACH }, (_, i) => one(makeFilm(`${kind} ${round} ${i}.mkv`, i), kind)),
  );
  return [large, ...small];
}

/** Kills the server so long after the edits have begun. Tells what was found. */
async function killed(scene: Scene, films: readonly Changed[], after: string, ms: number): Promise<string> {
  const before = (await leases(scene)).held;
  await allOf(films, async ({ film }) => assert.equal(await read(scene, film), film.hashes.length, film.name));
  await waitUntil('the leases', async () => (await leases(scene)).held >= before + films.length);
  const edits = await EditsAtOnce.start(films.map(({ edit }) => edit));
  edits.go();
  const reading = allOf(films, async ({ film }) => void (await read(scene, film)));
  if (after === 'the first file') await firstKept(scene);
  await sleep(ms);
  const output = scene.output();
  const killedMs = Date.now();
  await scene.unmount('SIGKILL');
  const edited = await edits.ended();
  await reading;

  const recorded = new Set(await keptRecordsLeft(scene));
  for (const path of recorded) assert.ok(existsSync(path), `${path} was recorded, and is not there`);
  const unnamed = keptIn(scene).filter((path) => !recorded.has(path));
  await scene.mount();
  await waitUntil('what no record names is deleted', async () => unnamed.every((path) => !existsSync(path)));
  const kept = new Set([...recorded].map((path) => path.slice(path.lastIndexOf('/') + 1)));
  const required = films.map(({ film, edit }) => {
    const isKept = kept.has(film.name);
    const { openedMs, waitedMs } = edited.get(edit)!;
    // Who is let go by the server, and not by its end, has everything kept. The others have waited for nothing.
    const mustBe = edit.kind !== 'delete' && waitedMs < LATE_MS && openedMs < killedMs - DOUBT_MS;
    assert.ok(isKept || !mustBe, `${film.name} was written to, and is not kept\n${output}`);
    return { film, least: isKept ? film.hashes.length : LEAST[edit.kind](film.hashes.length) };
  });
  await recovered(scene, WHOLE ? required : required.filter(({ film, least }) => least === film.hashes.length));
  await waitUntil('there is nothing without a record', async () => {
    const named = new Set(await keptRecords(scene));
    const there = keptIn(scene);
    return there.length === named.size && there.every((path) => named.has(path));
  });
  const letGo = [...edited.values()].filter(({ openedMs }) => openedMs < killedMs).length;
  return `killed ${ms} ms after ${after}: ${letGo} of ${films.length} let go, ${recorded.size} recorded, ${unnamed.length} unfinished`;
}

/**
 * Waits until each film has all that it must have by the rules; no piece is wrong meanwhile. Where pieces are lost, each read
 * waits for the healer: `npm test` does not wait for them.
 */
async function recovered(scene: Scene, films: readonly Required[]): Promise<void> {
  let missing = '';
  const isServed = async (): Promise<boolean> => {
    const lacking: string[] = [];
    await allOf(films, async ({ film, least }) => {
      const good = await read(scene, film);
      if (good < least) lacking.push(`${film.name} has ${good} of ${least}`);
    });
    missing = lacking.join('; ');
    return missing === '';
  };
  await waitUntil('all is served that must be', isServed, { limitMs: 120_000 }).catch((error: unknown) => {
    throw new Error(`${missing}\n${scene.output()}`, { cause: error });
  });
}

/** The pieces that a file has itself after it was changed. */
const LEAST: Readonly<Record<Edit['kind'], (all: number) => number>> = {
  write: (all) => all - 1,
  anew: (all) => all - 1,
  truncate: () => 30,
  delete: () => 0,
};

/** Waits until something is being kept. The loop is left to others between two looks, which take microseconds. */
async function firstKept(scene: Scene): Promise<void> {
  const until = performance.now() + FIRST_MS;
  const before = new Set(keptIn(scene));
  while (keptIn(scene).every((path) => before.has(path)) && performance.now() < until) await setImmediate();
}

async function allOf<T>(those: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  await Promise.all(those.map(work));
}

/** Counts the pieces that are served: none is wrong. */
async function read(scene: Scene, film: Film): Promise<number> {
  const { good, wrong } = await scene.read(film);
  assert.deepEqual(wrong, [], film.name);
  return good;
}

async function leases({ autotorrent }: Scene): Promise<StatusJson['leases']> {
  return ((await autotorrent.json('status')) as StatusJson).leases;
}
