import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { sizeAdvice } from '../../src/app/size-advice.ts';
import { createHashPool } from '../../src/hash/piscina-pool.ts';
import { silentLogger } from '../../src/logger.ts';
import type { MatchMode } from '../../src/match/match.ts';
import { matchTorrents } from '../../src/match/match-torrents.ts';
import { ANYWHERE, anywhere } from '../harness/anywhere.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { content, type Files, PIECE, torrent, writeFiles } from '../match/fixtures.ts';
import { NaiveIndex } from '../match/naive-index.ts';

const DEFAULT: readonly MatchMode[] = ['unsplitable', 'normal'];
const episode = (i: number): Buffer => content(`episode ${i}`, 2 * PIECE + 100 * i);
const season = (count: number, nameOf: (i: number) => string): Files =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [nameOf(i + 1), episode(i + 1)]));
const SEASON = season(10, (i) => `Show.S01E${i}-GRP.mkv`);
const RENAMED = (count: number): Files => season(count, (i) => `Show/Season 01/Show - S01E${i} - Title.mkv`);
const NFO = content('nfo', 700);

describe('advice for a torrent that is missing', () => {
  const base = temporaryFolder('size-advice');
  const pool = createHashPool({ sources: ANYWHERE, threads: 2 });
  after(() => pool.close());

  async function advice(
    parts: Files,
    collection: Files,
    scanModes: readonly MatchMode[] = DEFAULT,
    verify: 'none' | 'probe' = 'probe',
  ): Promise<{ readonly advice: string | undefined; readonly calls: number }> {
    const index = new NaiveIndex(writeFiles(mkdtempSync(join(base, 'disk-')), collection));
    const [match] = await matchTorrents([{ name: 't', metainfo: torrent('Show.S01-GRP', parts) }], {
      index,
      pool,
      options: { scanModes, verify },
      logger: silentLogger,
      access: anywhere(),
    });
    assert.ok(match !== undefined);
    const before = index.calls.length;
    const found = await sizeAdvice(match, index, scanModes);
    return { advice: found, calls: index.calls.length - before };
  }

  const cases: readonly [string, Files, Files, string | undefined][] = [
    ['a renamed library', SEASON, RENAMED(10), 'try hash_size: 10 of 10 files have one of their size'],
    ['most of one', SEASON, RENAMED(9), 'try hash_size: 9 of 10 files have one of their size'],
    [
      'the renamed half of one',
      SEASON,
      { ...RENAMED(4), ...season(10, (i) => (i > 4 ? `Show.S01E${i}-GRP.mkv` : 'x')) },
      'try hash_size: 4 of 4 files have one of their size',
    ],
    [
      'a film',
      { 'film.mkv': episode(1) },
      { 'other.mkv': episode(1) },
      'try hash_size: 1 of 1 files have one of their size',
    ],
    ['nothing', SEASON, { 'a.mkv': episode(20) }, undefined],
    ['nothing but the size of an nfo', { ...SEASON, 'a.nfo': NFO }, { 'b.txt': content('b', 700) }, undefined],
    [
      'a file that was hashed and is another',
      { 'film.mkv': episode(1) },
      { 'film.mkv': content('wrong', episode(1).length) },
      undefined,
    ],
    [
      'such a file, and one of another name',
      { 'film.mkv': episode(1) },
      { 'film.mkv': content('wrong', episode(1).length), 'x.mkv': episode(1) },
      'try hash_size: 1 of 1 files have one of their size',
    ],
  ];
  for (const [name, parts, collection, wanted] of cases) {
    it(`knows by sizes alone, with one batch of questions: ${name}`, async () => {
      assert.deepEqual(await advice(parts, collection), { advice: wanted, calls: 1 });
    });
  }

  it('is the same where nothing is hashed', async () => {
    const { advice: found } = await advice(SEASON, RENAMED(9), DEFAULT, 'none');
    assert.equal(found, 'try hash_size: 9 of 10 files have one of their size');
  });

  it('is not given, and nothing asked, where a mode has looked at all files of the size', async () => {
    for (const mode of ['hash_size', 'hash_slow'] as const) {
      const wrong = { 'other.mkv': content('wrong', episode(1).length) };
      assert.deepEqual(await advice({ 'film.mkv': episode(1) }, wrong, [...DEFAULT, mode]), {
        advice: undefined,
        calls: 0,
      });
    }
  });
});
