/** Which entries are noted when files come, or the index is renewed. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { GAP } from '../../src/extent/extent.ts';
import { NewFiles } from '../../src/server/news/new-files.ts';
import { Returns, type ReturnsParts } from '../../src/server/returns.ts';
import type { WatchEvent } from '../../src/watch/protocol.ts';

const at = (path: string): Buffer => Buffer.from(path);
type Entries = ReturnType<ReturnsParts['store']['entries']> extends AsyncIterable<infer E> ? E : never;

function scene() {
  const entry = (infoHash: string, missingBytes: number): Entries => ({
    infoHash,
    kind: 'mount',
    state: 'added',
    missingBytes,
  });
  const entries = [entry('whole', 0), entry('lacks', 5), entry('other', 7)];
  const mapped = { offset: 0, length: 10, source: 1, sourceOffset: 0 };
  const gap = { offset: 10, length: 5, source: GAP, sourceOffset: 0 };
  const files: Record<string, { length: number; base: (typeof mapped)[] }[]> = {
    lacks: [
      { length: 10, base: [mapped] },
      { length: 15, base: [mapped, gap] },
    ],
    other: [{ length: 7, base: [{ ...gap, offset: 0, length: 7 }] }],
  };
  const listed: string[] = [];
  const noted: string[] = [];
  const sizes: Record<string, number> = { '/d/ten': 10, '/d/fifteen': 15, '/d/seven': 7 };
  const looked: string[] = [];
  const returns = new Returns({
    store: {
      async *entries() {
        yield* entries;
      },
      async *files(infoHash) {
        listed.push(infoHash);
        yield* files[infoHash] ?? [];
      },
    },
    note: (infoHash) => void noted.push(infoHash),
  });
  const look = async (path: Buffer) => {
    looked.push(path.toString());
    const size = sizes[path.toString()];
    if (size === undefined) return undefined;
    return { identity: { dev: 1, ino: 1n, size, mtimeNs: 0n, ctimeNs: 0n }, links: 1, quiet: false };
  };
  return { entries, listed, noted, looked, returns, look };
}

describe('what comes back', () => {
  it('is noted for the entries with a gap in a file that is as long', async () => {
    const { returns, look, noted } = scene();
    await returns.came([at('/d/ten'), at('/d/fifteen'), at('/d/gone')], look);
    assert.deepEqual(noted, ['lacks']);
    assert.deepEqual(returns.placesOf('lacks'), [at('/d/fifteen')]);
    assert.deepEqual(returns.placesOf('other'), []);
  });

  it('is noted for all entries with gaps when the index was renewed', async () => {
    const { returns, noted } = scene();
    await returns.indexRenewed();
    assert.deepEqual(noted, ['lacks', 'other']);
  });

  it('has files listed again only when another number of bytes is missing, and looks at nothing if nothing is', async () => {
    const { returns, look, listed, looked, entries } = scene();
    for (let i = 0; i < 2; i++) await returns.came([at('/d/seven')], look);
    assert.deepEqual(listed, ['lacks', 'other']);
    entries[1] = { ...entries[0]!, infoHash: 'lacks', missingBytes: 6 };
    await returns.came([at('/d/seven')], look);
    assert.deepEqual(listed, ['lacks', 'other', 'lacks']);
    entries.length = 1;
    looked.length = 0;
    await returns.came([at('/d/seven')], look);
    assert.deepEqual([looked, returns.placesOf('other')], [[], []]);
  });

  it('is looked at once nobody writes there any more', async () => {
    const found: string[] = [];
    const files = new NewFiles((paths) => found.push(...paths.map(String)), 40);
    const events: WatchEvent[] = [
      { kind: 'appeared', path: at('/d/new'), folder: false },
      { kind: 'written', path: at('/d/new') },
      { kind: 'closed', path: at('/d/new') },
      { kind: 'renamed', from: at('/d/.part'), to: at('/d/renamed'), folder: false, watch: 1 },
      { kind: 'appeared', path: at('/d/folder'), folder: true },
      { kind: 'deleted', path: at('/d/old'), folder: false },
    ];
    files.take(events);
    assert.deepEqual(found, []);
    // The timer alone does not keep the process alive.
    for (let i = 0; i < 100 && found.length < 2; i++) await sleep(20);
    assert.deepEqual(found, ['/d/new', '/d/renamed']);
    files.close();
  });
});
