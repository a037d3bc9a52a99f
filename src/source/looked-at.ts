/** Looks who may read the sources of a plan before they are recorded. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { PlanSource } from '../plan/plan.ts';
import type { ReadersLook } from './look-at-readers.ts';
import type { Readers } from './readers.ts';

/** A source of a plan, and who may read it if somebody has looked. */
export interface LookedAtSource extends PlanSource {
  readonly readers?: Readers;
}

/** Sources that are looked at together. */
const SLICE = 250;
/** Milliseconds for the sources of one plan. A disk that does not answer must not keep an entry from being made. */
const LIMIT_MS = 10_000;

/** Adds to each source who may read it. Those that could not be looked at in time stay without. */
export async function* lookedAt(
  look: ReadersLook,
  sources: AsyncIterable<PlanSource>,
): AsyncGenerator<LookedAtSource, void, undefined> {
  const until = performance.now() + LIMIT_MS;
  for await (const slice of slices(sources)) {
    const found: LookedAtSource[] = [...slice];
    const looking = slice.map(async (source, i) => {
      const readers = await look.atPath(source.path);
      if (readers !== undefined) found[i] = { ...source, readers };
    });
    await within(Math.max(0, until - performance.now()), Promise.all(looking));
    yield* found;
  }
}

async function within(milliseconds: number, work: Promise<unknown>): Promise<void> {
  const ended = new AbortController();
  try {
    await Promise.race([work, sleep(milliseconds, undefined, { signal: ended.signal }).catch(() => {})]);
  } finally {
    ended.abort();
  }
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
