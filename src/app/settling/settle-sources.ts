/**
 * Looks at sources as they are recorded, and has the server settle those that are not: for `verify` and `rebuild`.
 *
 * The server's healer decides (`heal/`); this waits for it, and tells what was found and done.
 */
import type { KnownSource, SuspectSource } from '../../control/cases-served.ts';
import type { ControlClient } from '../../control/client.ts';
import { comparedOf } from '../../source/identity.ts';
import { lookAtSource } from '../../source/open-source.ts';
import type { SourceAccess } from '../../source/source-access.ts';

/** What was found of a source that was not as recorded, and what was done. */
export interface SettledSource {
  /** Where it was recorded. */
  readonly path: Buffer;
  /** A predicate, to follow the path: `was modified`. */
  readonly found: string;
  /**
   * `trusted`: it is as recorded again. `doubted`: it is mapped again, and each piece is hashed before it is served. `remapped`:
   * what of it fits was mapped anew. `healing`: it is not settled yet.
   */
  readonly state: 'trusted' | 'doubted' | 'remapped' | 'healing' | 'waiting' | 'lost';
  /** Where its bytes are mapped now, if that is another path. */
  readonly now?: Buffer;
  /** A predicate: what was done, or why nothing could be. */
  readonly done: string;
}

export interface SettleTools {
  readonly server: ControlClient;
  readonly access: SourceAccess;
  readonly signal: AbortSignal;
  /** Milliseconds since 1970: what the healer settled since then is told, too. Without it, since the call. */
  readonly sinceMs?: number | undefined;
  /** Called when there is something to wait for. */
  readonly onWait?: (sources: number) => void;
}

/** Milliseconds after which a healer that settles nothing more is not waited for: aligning a large file takes minutes. */
const STUCK_MS = 30 * 60_000;

/** Looks at the sources that `list` gives, and waits until those that changed are settled. */
export async function settleSources(
  list: () => AsyncIterable<KnownSource>,
  { server, access, signal, sinceMs, onWait }: SettleTools,
): Promise<SettledSource[]> {
  const startedMs = Date.now();
  const suspects: SuspectSource[] = [];
  const before = new Map<number, KnownSource>();
  const already: SettledSource[] = [];
  for await (const source of list()) {
    signal.throwIfAborted();
    const found = lookAt(source, access);
    if (found === undefined) {
      const settled = settledSince(source, sinceMs ?? startedMs);
      if (settled !== undefined) already.push(settled);
      continue;
    }
    suspects.push(found);
    before.set(source.id, source);
  }
  if (suspects.length === 0) return already;
  await server.cases.suspects(suspects);
  const ids = suspects.map(({ id }) => id);
  await waitFor(ids, server, signal, onWait);
  const after = new Map<number, KnownSource>();
  for await (const source of list()) after.set(source.id, source);
  const settled = suspects.flatMap(({ id, reason }) => {
    const was = before.get(id);
    return was === undefined ? [] : [settledAs({ was, found: reason, after, sinceMs: startedMs })];
  });
  return [...already, ...settled];
}

/** What the healer did with a source that is as recorded by now. Undefined if it did nothing since then. */
function settledSince({ record, condition, last }: KnownSource, sinceMs: number): SettledSource | undefined {
  if (last === undefined || last.atMs < sinceMs) return undefined;
  return { path: record.path, found: 'was not as recorded', state: condition?.state ?? 'trusted', done: last.how };
}

/** Waits until the server has settled cases, or has put them off. */
export async function waitFor(
  ids: readonly number[],
  server: ControlClient,
  signal: AbortSignal,
  onWait?: (sources: number) => void,
): Promise<void> {
  let open = ids;
  let since = performance.now();
  while (open.length > 0 && performance.now() - since < STUCK_MS) {
    signal.throwIfAborted();
    onWait?.(open.length);
    const left = await server.cases.settled(open);
    if (left.length < open.length) since = performance.now();
    open = left;
  }
}

/** What is known of a source that was not as recorded. */
interface Settlement {
  readonly was: KnownSource;
  readonly found: string;
  /** The sources as they are now. */
  readonly after: ReadonlyMap<number, KnownSource>;
  /** When that was begun, in milliseconds since 1970: what happened before is another story. */
  readonly sinceMs: number;
}

/** Tells what the server knows of a source by now. */
export function settledAs({ was, found, after, sinceMs }: Settlement): SettledSource {
  const { path } = was.record;
  const lately = (source: KnownSource | undefined): string | undefined =>
    source?.last !== undefined && source.last.atMs >= sinceMs ? source.last.how : undefined;
  const now = after.get(was.id);
  if (now === undefined) {
    const heir = [...after.values()].find(({ id, record }) => id > was.id && record.path.equals(path));
    return { path, found, state: 'remapped', done: lately(heir) ?? 'is mapped from other files now' };
  }
  const { condition } = now;
  const moved = now.record.path.equals(path) ? {} : { now: now.record.path };
  const state = condition?.state ?? 'trusted';
  if (state === 'trusted') return { path, found, state, ...moved, done: lately(now) ?? 'is as it was recorded again' };
  if (state !== 'doubted') return { path, found, state, ...moved, done: condition?.reason ?? '' };
  return { path, found, state, ...moved, done: lately(now) ?? 'is mapped again' };
}

/** Undefined for a source that is as recorded, and is not taken for another. */
function lookAt({ id, record, condition }: KnownSource, access: SourceAccess): SuspectSource | undefined {
  const looked = lookAtSource({ path: record.path, recorded: comparedOf(record) }, access);
  if (looked.state === 'as recorded') {
    const settled = condition === undefined || condition.state === 'doubted';
    return settled ? undefined : { id, reason: condition.reason, found: looked.identity };
  }
  const reason = looked.why.says;
  return looked.state === 'suspect' ? { id, reason, found: looked.found } : { id, reason };
}
