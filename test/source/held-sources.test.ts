/** Sources that stay open without a user: how many, for how long, and what happens to those whose files are gone meanwhile. */
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, it, type TestContext } from 'node:test';
import { setImmediate as immediate } from 'node:timers/promises';
import { silentLogger } from '../../src/logger.ts';
import { DescriptorBudget } from '../../src/native/descriptor-budget.ts';
import { hangingBytes } from '../../src/source/hanging.ts';
import { ReadersLook } from '../../src/source/look-at-readers.ts';
import { OwnMounts } from '../../src/source/own-mounts.ts';
import { SourceFiles, type SourceFilesOptions } from '../../src/source/served-sources.ts';
import type { SourceFile } from '../../src/source/source-file.ts';
import { anywhere } from '../harness/anywhere.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { LOCAL_LOOKS } from '../harness/looks.ts';
import { sourceOf } from '../harness/plans.ts';

const MINUTE_MS = 60_000;
const NAMES = ['a', 'b', 'c', 'd'] as const;

describe('a source without a user', () => {
  let folder: string;
  let records: Map<number, ReturnType<typeof sourceOf>>;
  const path = (name: string): string => join(folder, name);

  beforeEach(async () => {
    folder = temporaryFolder('held');
    records = new Map();
    for (const [id, name] of NAMES.entries()) {
      await fs.writeFile(path(name), `the bytes of ${name}`);
      records.set(id, sourceOf(path(name)));
    }
  });

  function sourcesWith(t: TestContext, more: Partial<SourceFilesOptions> = {}): SourceFiles {
    const ownMounts = new OwnMounts();
    const sources = new SourceFiles({
      record: (id) => records.get(id),
      access: anywhere({ ownMounts }),
      readersLook: new ReadersLook({ ownMounts, ownFolders: [] }),
      looks: LOCAL_LOOKS,
      // As a server that hashes what is not as recorded.
      doubts: { of: () => 0, differs: () => 1, asRecorded: () => 0, wrong() {}, urgent: () => false },
      onReaders() {},
      descriptors: new DescriptorBudget(100, 100),
      logger: silentLogger,
      ...more,
    });
    t.after(() => sources.close());
    return sources;
  }

  /** Opens a source for one user, who leaves it. */
  async function visit(sources: SourceFiles, id: number): Promise<SourceFile> {
    const file = await sources.serve(id, true);
    sources.retain(file);
    await immediate();
    sources.release(file);
    await immediate();
    return file;
  }

  async function bytesOf(file: SourceFile): Promise<string> {
    const buffer = Buffer.alloc(100);
    return buffer.toString('latin1', 0, await file.read(buffer, 0, buffer.length, 0));
  }

  it('stays open, and is found again', async (t) => {
    const sources = sourcesWith(t);
    const file = await visit(sources, 0);
    assert.deepEqual([file.closed, sources.open.held], [false, 1]);
    assert.equal(await visit(sources, 0), file);
    sources.retain(file);
    assert.equal(sources.open.held, 0);
  });

  it('is closed when it has been unused for longer than the others of too many', async (t) => {
    const sources = sourcesWith(t, { hold: { most: 2 } });
    const [a, b] = [await visit(sources, 0), await visit(sources, 1)];
    await visit(sources, 0);
    const c = await visit(sources, 2);
    assert.deepEqual([a.closed, b.closed, c.closed, sources.open.held], [false, true, false, 2]);
  });

  it('is closed at once where none is held, and as soon as no read needs it', async (t) => {
    const sources = sourcesWith(t, { hold: { most: 0 } });
    assert.equal((await visit(sources, 0)).closed, true);
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const read = await sources.serve(1);
    read.begin();
    await immediate();
    assert.equal(read.closed, false);
    read.done();
    t.mock.timers.tick(1000);
    assert.equal(read.closed, true);
  });

  it('is closed after ten minutes, by one timer for all', async (t) => {
    let now = 1000;
    t.mock.method(performance, 'now', () => now);
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const sources = sourcesWith(t);
    const timers = t.mock.method(globalThis, 'setTimeout');
    const pass = (ms: number): void => {
      now += ms;
      t.mock.timers.tick(ms);
    };
    const a = await visit(sources, 0);
    pass(4 * MINUTE_MS);
    const b = await visit(sources, 1);
    assert.equal(timers.mock.callCount(), 1);
    pass(6 * MINUTE_MS - 1);
    assert.deepEqual([a.closed, b.closed], [false, false]);
    pass(1);
    assert.deepEqual([a.closed, b.closed], [true, false]);
    pass(4 * MINUTE_MS);
    assert.deepEqual([b.closed, sources.open.size], [true, 0]);
  });

  it('has the bytes of a file that was deleted or replaced since, and is closed after all others', async (t) => {
    const sources = sourcesWith(t, { hold: { most: 2 }, descriptors: new DescriptorBudget(2, 100) });
    const a = await visit(sources, 0);
    await fs.rm(path('a'));
    await fs.writeFile(path('a'), 'another one');
    assert.equal(await visit(sources, 0), a);
    assert.equal(await bytesOf(a), 'the bytes of a');
    const known = { condition: () => undefined };
    assert.equal(hangingBytes(sources.open.values(), known), 'the bytes of a'.length);
    // Neither the limit nor the budget closes it while there is another.
    for (const id of [1, 2, 3]) await visit(sources, id);
    assert.deepEqual([a.closed, sources.open.held], [false, 2]);
  });

  it('is closed when its record leads to another file, and not when it does not', async (t) => {
    const sources = sourcesWith(t);
    const file = await visit(sources, 0);
    sources.sourcesChanged([0]);
    assert.equal(file.closed, false, 'extents have changed');
    const record = records.get(0)!;
    records.set(0, { ...record, path: Buffer.from(path('renamed/a')) });
    sources.folderRenamed(Buffer.from(folder));
    assert.equal(file.closed, false, 'a folder was renamed');
    sources.conditionChanged(0, 'healing');
    assert.equal(file.closed, false, 'it is looked for');
    sources.conditionChanged(0, 'lost');
    assert.equal(file.closed, false, 'no other copy was found');
    records.set(0, records.get(1)!);
    sources.sourcesChanged([0]);
    assert.equal(file.closed, true);
  });

  it('stays open when all of it was proven, though another file is at its path', async (t) => {
    const sources = sourcesWith(t);
    const file = await visit(sources, 0);
    await fs.rename(path('b'), path('a'));
    await visit(sources, 0);
    records.set(0, { ...records.get(0)!, ...file.identity });
    sources.conditionChanged(0, undefined);
    assert.equal(await visit(sources, 0), file);
    assert.equal(await bytesOf(file), 'the bytes of a');
  });

  it('is closed when its last entry goes, but not under a user', async (t) => {
    const sources = sourcesWith(t);
    const [held, used] = [await visit(sources, 0), await visit(sources, 1)];
    sources.retain(used);
    records.clear();
    sources.sourcesChanged([0, 1]);
    assert.deepEqual([held.closed, used.closed], [true, false]);
    sources.release(used);
    assert.equal(used.closed, true);
  });
});

describe('bytes that hang on descriptors', () => {
  const identity = { dev: 1, ino: 2n, size: 100, mtimeNs: 3n, ctimeNs: 4n };
  const file = { id: 7, identity, unlinked: false, record: { spares: [8] } };
  const state = (one: 'doubted' | 'healing' | 'lost' | 'waiting') => ({ state: one, epoch: 1, sinceMs: 0, reason: '' });

  it('are those of files that their paths do not lead to, and of which no spare is there', () => {
    const lost = { condition: (id: number) => (id === 7 ? state('lost') : state('healing')) };
    assert.equal(hangingBytes([file], lost), 100);
    const spare = { condition: (id: number) => (id === 7 ? state('lost') : undefined) };
    assert.equal(hangingBytes([file], spare), 0);
    const inPlace = { condition: () => ({ ...state('healing'), observed: identity, failed: true as const }) };
    assert.equal(hangingBytes([file], inPlace), 0, 'pieces of it failed, where it is');
    assert.equal(hangingBytes([{ ...file, unlinked: true }], inPlace), 100);
    assert.equal(hangingBytes([file], { condition: () => state('doubted') }), 0);
  });
});
