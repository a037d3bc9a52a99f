/** What is no candidate is known by name, with why. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { LeftOutFile, LeftOutQuestion } from '../../../src/collection/index.ts';
import { KIND, keyOf } from '../../../src/collection/level/index-database.ts';
import { openIndex } from '../../../src/collection/level/open-index.ts';
import { LEFT_OUT_OF_FOLDER } from '../../../src/collection/scan/folder-record.ts';
import { TempIndex } from './temp-index.ts';

const ANY = { min: 0, max: Number.MAX_SAFE_INTEGER, limit: 100 };

const byText = (a: unknown, b: unknown): number => String(a).localeCompare(String(b));

describe('what is left out of the index', () => {
  let index: TempIndex;
  beforeEach(() => {
    index = new TempIndex();
  });
  afterEach(() => index.remove());

  const ask = async (...questions: readonly LeftOutQuestion[]): Promise<LeftOutFile[][]> => {
    const open = await openIndex(index.db);
    try {
      return await open.leftOut(questions);
    } finally {
      await open.close();
    }
  };
  const shown = (found: readonly LeftOutFile[] = []): unknown[] =>
    found.map(({ path, size, code }) => [path.toString().slice(index.disk.length + 1), size, code]);
  /** The number of records of a kind in the current generation. */
  const records = async (kind: number): Promise<number> => {
    const keys = await index.db.keys<Uint8Array>({ keyEncoding: 'view' }).all();
    return keys.filter((key) => key[5] === kind).length;
  };

  it('is found by its name, with why and its size', async () => {
    index.put({ 'a/Film.nfo': 7, 'a/film.mkv': 5, 'b/film.nfo': 7, 'b/Film nfo': 8 });
    symlinkSync('film.mkv', join(index.disk, 'a/other.mkv'));
    symlinkSync('nowhere', join(index.disk, 'b/OTHER_mkv'));
    await index.rebuild({ ignoreFiles: ['*.nfo', 'Film nfo'] });
    const [ofSize, ofAny, few, links, none, candidate] = await ask(
      { name: 'film.nfo', min: 7, max: 7, limit: 9 },
      { name: 'FILM NFO', ...ANY },
      { name: 'film.nfo', ...ANY, limit: 1 },
      { name: 'other.mkv', min: 5, max: 5, limit: 9 },
      { name: 'film.nfo', min: 1, max: 6, limit: 9 },
      { name: 'film.mkv', ...ANY },
    );
    assert.deepEqual(shown(ofSize).toSorted(byText), [
      ['a/Film.nfo', 7, 'ignored'],
      ['b/film.nfo', 7, 'ignored'],
    ]);
    assert.equal(ofAny?.length, 3);
    assert.equal(few?.length, 1);
    assert.deepEqual(shown(links).toSorted(byText), [
      ['a/other.mkv', null, 'link'],
      ['b/OTHER_mkv', null, 'link'],
    ]);
    assert.deepEqual([none, candidate], [[], []]);
  });

  it('is nothing of a release that the patterns match', async () => {
    index.put({ 'R/a.rar': 1, 'R/a.sfv': 2, 'R/a.nfo': 3, 'x/a.nfo': 3 });
    await index.rebuild({ ignoreFiles: ['*.nfo'] });
    const [found] = await ask({ name: 'a.nfo', ...ANY });
    assert.deepEqual(shown(found), [['x/a.nfo', 3, 'ignored']]);
  });

  it('is what still grows, whatever its size, until it is settled', async () => {
    index.put({ 'a/film.mkv': 5 });
    await index.rebuild({ settleMs: 60_000 });
    const [found] = await ask({ name: 'film.mkv', min: 9, max: 9, limit: 9 });
    assert.deepEqual(shown(found), [['a/film.mkv', 5, 'growing']]);
    await index.rebuild();
    assert.deepEqual(await ask({ name: 'film.mkv', ...ANY }), [[]]);
  });

  it('is kept where a folder did not change, and goes with its name', async () => {
    index.put({ 'a/film.mkv': 5, 'b/one': 1 });
    symlinkSync('x', join(index.disk, 'a/link'));
    await index.rebuild();
    index.put({ 'b/two': 2 });
    assert.equal((await index.rebuild()).reused, 2);
    assert.deepEqual(shown((await ask({ name: 'link', ...ANY }))[0]), [['a/link', null, 'link']]);
    rmSync(join(index.disk, 'a/link'));
    await index.rebuild();
    assert.deepEqual(await ask({ name: 'link', ...ANY }), [[]]);
  });

  it('keeps names that are not UTF-8, and names of whatever length', async () => {
    mkdirSync(join(index.disk, 'a'));
    const name = Buffer.from('caf\u00e9 '.repeat(40), 'latin1');
    symlinkSync('x', Buffer.concat([Buffer.from(`${index.disk}/a/`), name]));
    await index.rebuild();
    const [[found] = []] = await ask({ name: 'CAF\u00c9 '.repeat(40), ...ANY });
    assert.deepEqual(found?.path, Buffer.concat([Buffer.from(`${index.disk}/a/`), name]));
  });

  it('is told of a path, as is what the index has of others', async () => {
    index.put({ 'a/film.mkv': 5, 'a/film.nfo': 7, 'R/x.rar': 1, 'R/x.sfv': 2, 'R/x.nfo': 3 });
    symlinkSync('x', join(index.disk, 'a/link'));
    await index.rebuild({ ignoreFiles: ['*.nfo'] });
    const open = await openIndex(index.db);
    const known = await open.known(
      ['a/film.mkv', 'a/film.nfo', 'R/x.nfo', 'a/link', 'a', '', 'a/none', 'none/film.mkv', '../x'].map((path) =>
        Buffer.from(join(index.disk, path)),
      ),
    );
    await open.close();
    assert.deepEqual(
      known.map(({ kind, code, size, release, disk }) => [
        kind,
        code,
        size,
        release?.toString().slice(index.disk.length + 1),
        disk?.toString() === index.disk,
      ]),
      [
        ['file', undefined, 5, undefined, true],
        ['file', 'ignored', 7, undefined, true],
        ['file', undefined, 3, 'R', true],
        ['left out', 'link', undefined, undefined, true],
        ['folder', undefined, undefined, undefined, true],
        ['folder', undefined, undefined, undefined, true],
        ['nothing', undefined, undefined, undefined, true],
        ['nothing', undefined, undefined, undefined, true],
        ['nothing', undefined, undefined, undefined, false],
      ],
    );
  });

  it('costs nothing where there is none', async () => {
    index.put({ 'a/film.mkv': 5, 'b/film.mkv': 6 });
    await index.rebuild();
    assert.equal(await records(KIND.leftOut), 0);
    assert.deepEqual(await ask({ name: 'film.mkv', ...ANY }), [[]]);
  });

  it('is bounded in each folder', async () => {
    const many = LEFT_OUT_OF_FOLDER + 500;
    mkdirSync(join(index.disk, 'links'));
    for (let i = 0; i < many; i++) symlinkSync('x', join(index.disk, `links/same ${'_'.repeat(i % 200)} ${i}`));
    index.put(Object.fromEntries(Array.from({ length: many }, (_, i) => [`ignored/${i}.nfo`, 1])));
    index.put({ 'other/1.nfo': 1 });
    await index.rebuild({ ignoreFiles: ['*.nfo'] });
    const names = Array.from({ length: many }, (_, i) => i);
    const ignored = await ask(...names.map((i) => ({ name: `${i}.nfo`, ...ANY })));
    assert.equal(ignored.flat().length, LEFT_OUT_OF_FOLDER + 1);
    const links = await ask(...names.map((i) => ({ name: `same ${'_'.repeat(i % 200)} ${i}`, ...ANY })));
    assert.equal(links.flat().length, LEFT_OUT_OF_FOLDER);
  });

  it('is not known to an index of the version before, whose folders the next rebuild lists again', async () => {
    index.put({ 'a/film.mkv': 5, 'a/film.nfo': 7 });
    await index.rebuild({ ignoreFiles: ['*.nfo'] });
    await makeOlder();
    const open = await openIndex(index.db);
    assert.equal((await open.byName([{ name: 'film.mkv', min: 0, max: 9 }]))[0]?.length, 1);
    assert.deepEqual(await open.leftOut([{ name: 'film.nfo', ...ANY }]), [[]]);
    await open.close();
    assert.equal((await index.rebuild({ ignoreFiles: ['*.nfo'] })).reused, 0);
    assert.deepEqual(shown((await ask({ name: 'film.nfo', ...ANY }))[0]), [['a/film.nfo', 7, 'ignored']]);
    assert.equal((await index.rebuild({ ignoreFiles: ['*.nfo'] })).reused, 2);
  });

  /** Makes of the index what the version before would have written: its format, its flags of folders, and no such rows. */
  async function makeOlder(): Promise<void> {
    const view = { keyEncoding: 'view', valueEncoding: 'view' } as const;
    for (const [key, value] of await index.db.iterator<Uint8Array, Uint8Array>(view).all()) {
      if (key[5] === KIND.leftOut) await index.db.del<Uint8Array>(key, { keyEncoding: 'view' });
      if (key[5] !== KIND.folder) continue;
      const page = Uint8Array.from(value);
      for (const at of [0, (64 + 4 + index.disk.length + 1 + 7) & ~7]) {
        assert.equal(page[at + 52], 6);
        page[at + 52] = 2;
      }
      await index.db.put<Uint8Array, Uint8Array>(key, page, view);
    }
    const state = keyOf(0, KIND.state, 0);
    const stored = Buffer.from(await index.db.get<Uint8Array, Uint8Array>(state, view)).toString();
    const older = Buffer.from(stored.replace('"format":"3-', '"format":"2-'));
    assert.notEqual(older.toString(), stored);
    await index.db.put<Uint8Array, Uint8Array>(state, older, view);
  }

  it('does not make a rebuild write anew what did not change', async () => {
    index.put({ 'a/film.nfo': 5 });
    symlinkSync('x', join(index.disk, 'a/link'));
    await index.rebuild({ ignoreFiles: ['*.nfo'] });
    const generation = async (): Promise<number> => {
      const open = await openIndex(index.db);
      return open.info().generation;
    };
    const before = await generation();
    await index.rebuild({ ignoreFiles: ['*.nfo'] });
    assert.equal(await generation(), before);
    writeFileSync(join(index.disk, 'a/new'), '');
    const past = statSync(join(index.disk, 'a')).mtimeMs / 1000 - 100;
    utimesSync(join(index.disk, 'a/new'), past, past);
    await index.rebuild({ ignoreFiles: ['*.nfo'] });
    assert.equal(await generation(), before + 1);
  });
});
