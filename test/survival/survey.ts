/**
 * Lets every event happen on one file system, and reads what is served: by a handle held since before, by a fresh open, after
 * a restart of the server, and after a remount of the file system.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FileSystemKind } from '../harness/file-systems.ts';
import { eventsOn } from './events.ts';
import { type LaidEvent, layEvents } from './lay-events.ts';
import { Scene, type SceneOptions } from './scene.ts';
import { laySeries } from './series.ts';

/** Milliseconds within which all is served that can be. */
const SETTLED_MS = 30_000;
/** Between two readings of what is not served yet. */
const AGAIN_MS = 250;
/** Sources to which nothing happens: many are gone at once only in relation to all. */
const BYSTANDERS = 400;
/** Milliseconds after which each read must see a change (docs/sources.md, "The windows"). */
const WINDOW_MS: Readonly<Record<FileSystemKind, number>> = {
  ext4: 20,
  xfs: 20,
  btrfs: 20,
  mergerfs: 1200,
  fuse: 1200,
};

/** `during`: by handles that are held, while the events happen. Only where no window is open then. */
export type Stage = 'during' | 'held' | 'fresh' | 'restarted' | 'remounted';

export interface Outcome {
  /** Pieces: how many were right at last, and which were wrong at any time. */
  readonly good: number;
  readonly wrong: readonly string[];
  readonly possible: number;
  /** Until all that is possible was served, or the time was over. */
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
  const { kind, only, within = async (work) => await work } = options;
  const scene = await Scene.make(options);
  const happening = eventsOn(kind).filter(({ name }) => only?.includes(name) !== false);
  const cases: readonly Case[] = layEvents(scene, happening).map((laid) => ({
    ...laid,
    held: [],
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
  const bystanders = laySeries(scene, 'Bystanders', BYSTANDERS);
  await scene.run('rebuild');
  await scene.mount();
  await scene.add([bystanders, ...cases.flatMap(({ films }) => films)]);
  await (server === 'running' ? running(scene, cases, kind) : away(scene, cases));
}

async function running(scene: Scene, cases: readonly Case[], kind: FileSystemKind): Promise<void> {
  for (const { films, held } of cases) {
    for (const film of films) held.push(await scene.reader.open(scene.pathOf(film)));
  }
  const stop = new AbortController();
  const meanwhile = cases.map(async (one) => await readMeanwhile(scene, one, stop.signal));
  for (const { event, place } of cases) await event.happens(place);
  const happened = performance.now();
  stop.abort();
  const wrong = await Promise.all(meanwhile);
  if (WINDOW_MS[kind] < 1000) {
    for (const [i, { outcomes }] of cases.entries()) {
      outcomes.set('during', { good: 0, wrong: wrong[i]!, possible: 0, seconds: 0, failed: '' });
    }
  }
  await sleep(Math.max(0, WINDOW_MS[kind] - (performance.now() - happened)));
  await stage(scene, cases, 'held', happened);
  await stage(scene, cases, 'fresh');
  for (const { held } of cases) for (const fd of held) await scene.reader.close(fd);
  await scene.unmount();
  await scene.mount();
  await restarted(scene, cases);
  await scene.run('release', scene.fileSystem.path);
  await scene.fileSystem.remount();
  await stage(scene, cases, 'remounted');
}

async function away(scene: Scene, cases: readonly Case[]): Promise<void> {
  await scene.unmount();
  for (const { event, place } of cases) await event.happens(place);
  await scene.fileSystem.remount();
  await scene.mount();
  await restarted(scene, cases);
}

async function restarted(scene: Scene, cases: readonly Case[]): Promise<void> {
  const isUnindexed = ({ event }: Case): boolean => event.unindexed === true;
  await stage(
    scene,
    cases.filter((one) => !isUnindexed(one)),
    'restarted',
  );
  await scene.run('rebuild');
  await stage(scene, cases.filter(isUnindexed), 'restarted');
}

/** Reads through the held handles again and again; gives the wrong pieces. */
async function readMeanwhile(scene: Scene, { films, held }: Case, signal: AbortSignal): Promise<string[]> {
  const wrong = new Set<string>();
  while (!signal.aborted) {
    for (const [i, film] of films.entries()) {
      for (const piece of (await scene.reader.pieces([held[i]!], film)).wrong) wrong.add(`${film.name} ${piece}`);
    }
    await sleep(AGAIN_MS);
  }
  return [...wrong];
}

/** Reads each case until it serves all that is possible. */
async function stage(scene: Scene, cases: readonly Case[], name: Stage, since = performance.now()): Promise<void> {
  await Promise.all(
    cases.map(async ({ event, films, held, outcomes }) => {
      const possible = event.possible * films.length;
      const wrong = new Set<string>();
      for (;;) {
        let good = 0;
        const failed: string[] = [];
        for (const [i, film] of films.entries()) {
          const read = await (name === 'held' ? scene.reader.pieces([held[i]!], film) : scene.read(film));
          good += read.good;
          for (const piece of read.wrong) wrong.add(`${film.name} ${piece}`);
          for (const [error, count] of Object.entries(read.failed)) failed.push(`${count} ${error}`);
        }
        const seconds = (performance.now() - since) / 1000;
        if (good >= possible || seconds * 1000 > SETTLED_MS) {
          outcomes.set(name, { good, wrong: [...wrong], possible, seconds, failed: failed.join(', ') });
          return;
        }
        await sleep(AGAIN_MS);
      }
    }),
  );
}
