/** Looks who may read the sources of a plan before they are recorded. */
import type { PlanSource } from '../plan/plan.ts';
import { within } from '../within.ts';
import type { ReadersLook } from './look-at-readers.ts';
import type { Readers } from './readers.ts';

/** A source of a plan, and who may read it if somebody has looked. */
export interface LookedAtSource extends PlanSource {
  readonly readers?: Readers;
}

/** Sources that are looked at together. */
const SLICE = 250;
/** Milliseconds for a slice. A disk that does not answer must not keep an entry from being made. */
const LIMIT_MS = 10_000;

export interface LookedAtOptions {
  readonly look: Pick<ReadersLook, 'atPath'>;
  /** Called at the end if some source could not be looked at. */
  readonly onMissed: () => void;
  readonly limitMs?: number;
}

/** Adds to each source who may read it. After a slice that took too long no further source is looked at. */
export async function* lookedAt(
  sources: AsyncIterable<PlanSource>,
  { look, onMissed, limitMs = LIMIT_MS }: LookedAtOptions,
): AsyncGenerator<LookedAtSource, void, undefined> {
  let missed = false;
  let answers = true;
  for await (const slice of slices(sources)) {
    const found: LookedAtSource[] = [...slice];
    if (answers) {
      const looking = slice.map(async (source, i) => {
        const readers = await look.atPath(source.path);
        if (readers !== undefined) found[i] = { ...source, readers };
      });
      answers = (await within(limitMs, Promise.all(looking))) !== undefined;
    }
    missed ||= found.some(({ readers }) => readers === undefined);
    yield* found;
  }
  if (missed) onMissed();
}

async function* slices(sources: AsyncIterable<PlanSource>): AsyncGenerator<PlanSource[], void, undefined> {
  let slice: PlanSource[] = [];
  for await (const source of sources) {
    slice.push(source);
    if (slice.length < SLICE) continue;
    yield slice;
    slice = [];
  }
  if (slice.length > 0) yield slice;
}
