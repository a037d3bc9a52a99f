/** Settles cases over real files, and judges outcomes by the bytes that they map. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after } from 'node:test';
import type { CollectionIndex } from '../../src/collection/index.ts';
import { createHashPool } from '../../src/hash/piscina-pool.ts';
import type { Case, HealRecord, Outcome } from '../../src/heal/case.ts';
import type { HealEntry } from '../../src/heal/entry-pieces.ts';
import { Settler, type SettlerOptions } from '../../src/heal/settle.ts';
import type { DiskTools, Seen } from '../../src/heal/sight.ts';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import { SourceAccess } from '../../src/source/source-access.ts';
import type { SourceRules } from '../../src/source/source-folders.ts';
import { anywhere } from '../harness/anywhere.ts';
import { makeTorrent, type TorrentContent } from '../harness/make-torrent.ts';
import { identityAt } from '../harness/plans.ts';

/** A disk without handles, which is always mounted. */
export const PLAIN: DiskTools = {
  placeOf: () => ({ disk: 'mount:test:test' }),
  pathOfHandle: () => Promise.resolve(undefined),
  disksMounted: () => Promise.resolve(new Map([['mount:test:test', []]])),
};

export interface World {
  readonly options: Partial<SettlerOptions>;
  readonly entry: HealEntry;
  readonly records: ReadonlyMap<number, HealRecord>;
  readonly data: readonly Buffer[];
}

export interface WorldOptions {
  readonly pieceLength?: number;
  /** The torrent's files: their names, bytes, and the files on the disk that supply them. */
  readonly files: readonly { readonly name: string; readonly data: Buffer; readonly path: string }[];
}

/** Makes an entry whose files are mapped 1:1 to files that are there. Source ids count from 1. */
export function worldOf({ files, pieceLength = 16_384 }: WorldOptions): World {
  const content: TorrentContent[] = files.map(({ name, data }) => ({ path: [name], data }));
  const { raw, infoHash } = makeTorrent({ name: 'torrent', content, pieceLength });
  const records = new Map<number, HealRecord>();
  for (const [i, { path }] of files.entries()) {
    records.set(i + 1, { path: Buffer.from(path), ...identityAt(path), disk: 'mount:test:test' });
  }
  const healFiles = files.map(({ data }, index) => {
    const extents = [{ offset: 0, length: data.length, source: index + 1, sourceOffset: 0 }];
    return [index, { index, version: 1, extents }] as const;
  });
  const entry = {
    infoHash,
    metainfo: parseMetainfo(raw),
    since: 0,
    epoch: 0,
    files: new Map(healFiles),
    sources: records,
    places: [],
  };
  return { entry, records, data: files.map(({ data }) => data), options: {} };
}

export function caseOf(world: World, id: number, more: Partial<Case> = {}): Case {
  const record = world.records.get(id);
  assert.ok(record);
  return {
    id,
    record,
    spares: [],
    kept: [],
    state: 'healing',
    reason: 'is not there any more',
    // The disks are not searched any more.
    sinceMs: Date.now() - 2 * 60 * 60_000,
    seenDeleted: false,
    givenUp: false,
    ...more,
  };
}

/** Call it once in a suite. */
export function healBench() {
  const pool = createHashPool({ sources: { disks: ['/'] }, threads: 2 });
  after(async () => await pool.close());
  const settler = (world: World, more: Partial<SettlerOptions> & { rules?: SourceRules } = {}): Settler =>
    new Settler({
      access: more.rules === undefined ? anywhere() : new SourceAccess(more.rules),
      disks: PLAIN,
      pool: () => Promise.resolve(pool),
      index: () => Promise.resolve(undefined),
      freshIndex: () => Promise.resolve({ state: 'fresh' }),
      entry: () => Promise.resolve(world.entry),
      sourcesBelow: sourcesOf(world),
      hypotheses: () => [],
      sizeVarying: 10,
      signal: new AbortController().signal,
      // Files that tests write count as old.
      now: () => Date.now() + 60_000,
      ...more,
    });
  const settle = async (
    world: World,
    one: Case,
    more: Partial<SettlerOptions> & { rules?: SourceRules } = {},
  ): Promise<readonly Outcome[]> => {
    const found = await settler(world, more).settle(one, [world.entry.infoHash]);
    return 'work' in found ? await found.work() : found;
  };
  return { settler, settle };
}

export function indexOf(index: CollectionIndex): Partial<SettlerOptions> {
  return { index: () => Promise.resolve(index) };
}

function sourcesOf(world: World): SettlerOptions['sourcesBelow'] {
  return async function* () {
    for (const [id, { path }] of world.records) yield { id, path };
  };
}

/** Asserts that a case ends with one `same`, and gives where its record leads. */
export function sameOf(outcomes: readonly Outcome[]): { path: string; trusted: boolean; now: Seen; how: string } {
  const [outcome, more] = outcomes;
  assert.equal(more, undefined);
  assert.ok(
    outcome?.kind === 'same',
    JSON.stringify(outcome, (_, v: unknown) => (typeof v === 'bigint' ? Number(v) : v)),
  );
  return { path: outcome.now.path.toString(), trusted: outcome.trusted, now: outcome.now, how: outcome.how };
}

/** Reads what the remaps of a file map. Gives the share of right bytes, and how many are wrong. */
export function mappedBytes(
  outcomes: readonly Outcome[],
  index: number,
  data: Buffer,
): { right: number; wrong: number } {
  let [right, wrong] = [0, 0];
  for (const outcome of outcomes) {
    if (outcome.kind !== 'remap' || outcome.index !== index) continue;
    for (const { offset, length, source, sourceOffset } of outcome.ranges) {
      const { path, ctimeNs } = outcome.sources[source] ?? {};
      assert.ok(path);
      if (ctimeNs === 0n) continue;
      const bytes = readFileSync(path).subarray(sourceOffset, sourceOffset + length);
      for (let i = 0; i < length; i++)
        if (bytes[i] === data[offset + i]) right++;
        else wrong++;
    }
  }
  return { right, wrong };
}
