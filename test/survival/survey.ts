/**
 * Lets events happen on one file system, all side by side under one server, and reads what is served: by a handle held since
 * before, by a fresh open, after a restart of the server, and after a remount of the file system.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FileSystemKind } from '../harness/file-systems.ts';
import type { Pieces } from '../harness/piece-reader.ts';
import { eventsOn, possibleWhileOpen } from './events.ts';
import type { Film } from './films.ts';
import { type LaidEvent, layEvents } from './lay-events.ts';
import { Scene, type SceneOptions } from './scene.ts';
import { laySeries } from './series.ts';

/** Milliseconds within which exactly that is served which can be. Generous: tests may share the machine with others. */
const SETTLED_MS = 60_000;
/** Between two readings of what is not served yet. */
const AGAIN_MS = 250;
/** Sources to which nothing happens, for each event: many are gone at once only in relation to all. */
const BYSTANDERS = 25;
/**
 * Milliseconds after which each read must see a change (docs/sources.md, "The windows"). 0: it is less than what a test can
 * meet, and no read may be wrong at any time.
 */
const WINDOW_MS: Readonly<Record<FileSystemKind, number>> = { ext4: 0, xfs: 0, btrfs: 0, mergerfs: 1200, fuse: 1200 };

export type Stage = 'held' | 'fresh' | 'restarted' | 'remounted';

export interface Outcome {
  /** Pieces: how many were right at last, and which were wrong at any time. */
  readonly good: number;
  readonly wrong: readonly string[];
  readonly possible: number;
  /** Exactly what is possible was served in time; or more, as long as a handle or the memory of the server has it. */
  readonly passed: boolean;
  /** Until it was served, or the time was over. */
  readonly seconds: number;
  /** How many pieces could not be read at last, by error. */
  readonly failed: string;
}

export interface Survey {
  readonly outcomes: ReadonlyMap<string, ReadonlyMap<Stage, Outcome>>;
  /** Why not every stage was reached. */
  readonly failure: unknown;
}

/** An event that happens, and the handles on its films. */
interface Case extends LaidEvent {
  readonly held: number[];
  /** Pieces of each film that are served afterwards. */
  readonly possible: number;
  readonly outcomes: Map<Stage, Outcome>;
}

export interface SurveyOptions extends SceneOptions {
  /** `away`: the events happen while no server runs. */
  readonly server: 'running' | 'away';
  /** The names of the events. Default: all that can happen on this file system. */
  readonly only?: readonly string[] | undefined;
  /** Ends the work when its time is over. Default: never. */
  readonly within?: (work: Promise<void>) => Promise<void>;
}

export async function survey(options: SurveyOptions): Promise<Survey> {
  const { kind, only, server, within = async (work) => await work } = options;
  const scene = await Scene.make(options);
  const happening = eventsOn(kind).filter(({ name }) => only?.includes(name) !== false);
  const cases: readonly Case[] = layEvents(scene, happening).map((laid) => ({
    ...laid,
    held: [],
    possible: server === 'running' ? possibleWhileOpen(laid.event, kind) : laid.event.possible,
    outcomes: new Map(),
  }));
  let failure: unknown;
  try {
    await within(surveyed(scene, cases, options));
  } catch (error) {
    failure = error;
  }
  if (process.env['SURVIVAL_OUTPUT'] !== undefined) console.error(scene.output());
  await scene.end();
  return { outcomes: new Map(cases.map(({ event, outcomes }) => [event.name, outcomes])), failure };
}

async function surveyed(scene: Scene, cases: readonly Case[], { kind, server }: SurveyOptions): Promise<void> {
  const bystanders = laySeries(scene, 'Bystanders', BYSTANDERS * cases.length);
  await scene.run('rebuild');
  await scene.mount();
  await scene.add([bystanders, ...cases.flatMap(({ films }) => films)]);
  await (server === 'running' ? running(scene, cases, kind) : away(scene, cases));
}

async function running(scene: Scene, cases: readonly Case[], kind: FileSystemKind): Promise<void> {
  for (const { films, held } of cases) {
    for (const film of films) held.push(await scene.reader.open(scene.pathOf(film)));
  }
  await allOf(
    cases.map(async (one) => {
      await heldWhileItHappens(scene, one, WINDOW_MS[kind]);
      for (const fd of one.held) await scene.reader.close(fd);
      await stage(scene, one, 'fresh');
    }),
  );
  await scene.unmount();
  await scene.mount();
  await stages(scene, cases, 'restarted');
  await scene.run('release', scene.fileSystem.path);
  await scene.fileSystem.remount();
  await stages(scene, cases, 'remounted');
}

async function away(scene: Scene, cases: readonly Case[]): Promise<void> {
  await scene.unmount();
  for (const { event, place } of cases) await event.happens(place);
  await scene.fileSystem.remount();
  await scene.mount();
  await stages(scene, cases, 'restarted');
}

/** Waits for all, also if one fails. @throws the first failure */
async function allOf(works: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(works)).find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') throw failed.reason;
}

/** Reads through the held handles from before the event until all that is possible is served. */
async function heldWhileItHappens(scene: Scene, one: Case, windowMs: number): Promise<void> {
  const { event, place, films, held } = one;
  const wrong = new Set<string>();
  let happened = Number.POSITIVE_INFINITY;
  const read = async (): Promise<Reading> =>
    await readAll(films, async (film, i) => await scene.reader.pieces([held[i]!], film));
  const meanwhile = (async () => {
    while (happened === Number.POSITIVE_INFINITY) {
      const before = await read();
      if (windowMs === 0) note(wrong, before);
      await sleep(AGAIN_MS);
    }
  })();
  // At least one reading has begun, and may end during the event.
  await sleep(AGAIN_MS / 2);
  try {
    await event.happens(place);
  } finally {
    happened = performance.now();
  }
  await sleep(windowMs);
  await Promise.all([meanwhile, until(one, 'held', wrong, read, happened)]);
}

async function stages(scene: Scene, cases: readonly Case[], name: Stage): Promise<void> {
  await allOf(cases.map(async (one) => await stage(scene, one, name)));
}

/** Reads the films of a case until they serve exactly what is possible. */
async function stage(scene: Scene, one: Case, name: Stage): Promise<void> {
  const read = async (): Promise<Reading> => await readAll(one.films, async (film) => await scene.read(film));
  await until(one, name, new Set(), read, performance.now());
}

async function until(
  { films, possible: each, outcomes }: Case,
  name: Stage,
  wrong: Set<string>,
  read: () => Promise<Reading>,
  since: number,
): Promise<void> {
  const possible = each * films.length;
  for (;;) {
    const last = await read();
    note(wrong, last);
    const { good, failed } = last;
    const passed = isExact(name) ? good === possible : good >= possible;
    const seconds = (performance.now() - since) / 1000;
    if (passed || wrong.size > 0 || seconds * 1000 > SETTLED_MS) {
      outcomes.set(name, { good, wrong: [...wrong], possible, passed, seconds, failed: failed.join(', ') });
      return;
    }
    await sleep(AGAIN_MS);
  }
}

/** A restart ends what handles and the server's memory still have of files that are gone. */
const isExact = (name: Stage): boolean => name === 'restarted' || name === 'remounted';

/** What reading all films of an event once gave. */
interface Reading {
  readonly good: number;
  readonly wrong: readonly string[];
  readonly failed: readonly string[];
}

async function readAll(films: readonly Film[], read: (film: Film, index: number) => Promise<Pieces>): Promise<Reading> {
  const readings = await Promise.all(
    films.map(async (film, i) => {
      const { good, wrong, failed } = await read(film, i);
      return {
        good,
        wrong: wrong.map((piece) => `${film.name} ${piece}`),
        failed: Object.entries(failed).map(([error, count]) => `${count} ${error}`),
      };
    }),
  );
  return {
    good: readings.reduce((sum, { good }) => sum + good, 0),
    wrong: readings.flatMap(({ wrong }) => wrong),
    failed: readings.flatMap(({ failed }) => failed),
  };
}

function note(wrong: Set<string>, { wrong: found }: Reading): void {
  for (const piece of found) wrong.add(piece);
}
