/** Lists the sources of an entry that are not trusted, or to which something happened, for `show`. */
import type { ServedSource } from '../../control/served.ts';
import type { Entry } from '../../store/entries/entry.ts';
import type { Store } from '../../store/store.ts';

/** `awaits`: what a source waits for, beside its condition: a predicate. */
export async function* changedSources(
  store: Store,
  { infoHash }: Entry,
  awaits: (id: number) => string | undefined,
): AsyncGenerator<ServedSource> {
  const id = store.entryId(infoHash);
  if (id === undefined) return;
  for await (const page of store.living.sourcesOf(id)) {
    for (const source of page) {
      const changed = changedSource(store, source, awaits(source));
      if (changed !== undefined) yield changed;
    }
  }
}

function changedSource(store: Store, id: number, awaits: string | undefined): ServedSource | undefined {
  const condition = store.living.condition(id);
  const story = store.living.story(id).map(({ atMs, from, to, how }) => ({ at: new Date(atMs), from, to, how }));
  const path = store.source(id)?.path;
  if (path === undefined || (condition === undefined && story.length === 0)) return undefined;
  if (condition === undefined) return { path, state: 'trusted', story };
  const { state, sinceMs } = condition;
  const reason = awaits === undefined ? condition.reason : `${condition.reason}; it ${awaits}`;
  return { path, state, since: new Date(sinceMs), reason, story };
}
