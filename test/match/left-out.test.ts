/** A file of the right name that cannot be used is named in the reason of a missing file. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, afterEach, beforeEach, describe, it } from 'node:test';
import type { CollectionIndex } from '../../src/collection/index.ts';
import { openIndex } from '../../src/collection/level/open-index.ts';
import type { RebuildOptions } from '../../src/collection/level/rebuild.ts';
import { createHashPool } from '../../src/hash/piscina-pool.ts';
import { silentLogger } from '../../src/logger.ts';
import type { FileMatch, MatchMode } from '../../src/match/match.ts';
import { matchTorrents } from '../../src/match/match-torrents.ts';
import type { Metainfo } from '../../src/metainfo/metainfo.ts';
import { TempIndex } from '../collection/level/temp-index.ts';
import { ANYWHERE, anywhere } from '../harness/anywhere.ts';
import { content, PIECE, torrent } from './fixtures.ts';

const FILM = content('film', 3 * PIECE + 5);
const NFO = content('nfo', 2 * PIECE);

const byText = (a: unknown, b: unknown): number => String(a).localeCompare(String(b));

describe('a file that ends missing', () => {
  let index: TempIndex;
  const pool = createHashPool({ sources: ANYWHERE, threads: 1 });
  after(() => pool.close());
  beforeEach(() => {
    index = new TempIndex();
  });
  afterEach(() => index.remove());

  const put = (path: string, bytes: Buffer): string => {
    const file = join(index.disk, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, bytes);
    return file;
  };
  interface Asking {
    readonly rebuild?: Partial<RebuildOptions>;
    readonly modes?: readonly MatchMode[];
    readonly later?: () => void;
    readonly noting?: (index: CollectionIndex) => CollectionIndex;
  }
  const match = async (metainfo: Metainfo, asking: Asking = {}): Promise<readonly FileMatch[]> => {
    await index.rebuild(asking.rebuild);
    asking.later?.();
    const open = await openIndex(index.db);
    const [found] = await matchTorrents([{ name: 't', metainfo }], {
      index: asking.noting?.(open) ?? open,
      pool,
      options: { scanModes: asking.modes ?? ['unsplitable', 'normal'], verify: 'probe' },
      logger: silentLogger,
      access: anywhere(),
    });
    return found?.files ?? [];
  };
  const refusedOf = (file: FileMatch | undefined): unknown[] =>
    (file?.refused ?? []).map(({ source, code }) => [source.toString().slice(index.disk.length + 1), code]);

  it('says that ignore_files leaves it out, if its size is right', async () => {
    put('a/Film.nfo', NFO);
    const [file] = await match(torrent('film.nfo', NFO), { rebuild: { ignoreFiles: ['*.nfo'] } });
    assert.deepEqual([file?.status, file?.code, refusedOf(file)], ['missing', 'ignored', [['a/Film.nfo', 'ignored']]]);
    assert.equal(file?.reason, `${index.disk}/a/Film.nfo has its name and size, but ignore_files leaves it out.`);
    const [other] = await match(torrent('film.nfo', FILM), { rebuild: { ignoreFiles: ['*.nfo'] } });
    assert.deepEqual([other?.code, other?.refused], ['no-candidate', []]);
  });

  it('says that it is a link, for each mode that finds nothing', async () => {
    put('a/other.bin', FILM.subarray(1));
    symlinkSync('other.bin', join(index.disk, 'a/film.mkv'));
    for (const modes of [['normal'], ['exact'], ['unsplitable', 'normal'], ['hash_name'], ['hash_size']] as const) {
      const [file] = await match(torrent('film.mkv', FILM), { modes });
      assert.deepEqual([file?.code, refusedOf(file)], ['link', [['a/film.mkv', 'link']]], modes.join());
      assert.match(file?.reason ?? '', /film\.mkv has its name, but is a symbolic link, and those are not followed\.$/);
    }
  });

  it('says that it was still being written', async () => {
    put('a/film.mkv', FILM.subarray(0, 100));
    const [file] = await match(torrent('film.mkv', FILM), { rebuild: { settleMs: 60_000 } });
    assert.deepEqual([file?.code, refusedOf(file)], ['growing', [['a/film.mkv', 'growing']]]);
    assert.match(file?.reason ?? '', /was still being written at the last rebuild\.$/);
  });

  it('says so of a candidate that a link hides since', async () => {
    const path = put('a/film.mkv', FILM);
    const [file] = await match(torrent('film.mkv', FILM), {
      later() {
        renameSync(dirname(path), join(index.disk, 'b'));
        symlinkSync('b', join(index.disk, 'a'));
      },
    });
    assert.deepEqual([file?.code, refusedOf(file)], ['link', [['a/film.mkv', 'link']]]);
  });

  it('keeps what is said of candidates that were hashed', async () => {
    put('a/film.nfo', NFO);
    put('b/film.mkv', content('other', FILM.length));
    symlinkSync('../b/film.mkv', join(index.disk, 'a/film.mkv'));
    const [file] = await match(torrent('film.mkv', FILM));
    assert.equal(file?.code, 'hash-mismatch');
    assert.deepEqual(refusedOf(file).toSorted(byText), [
      ['a/film.mkv', 'link'],
      ['b/film.mkv', 'hash-mismatch'],
    ]);
    assert.match(file?.reason ?? '', /hashed pieces failed.*\. .*a\/film\.mkv has its name, but is a symbolic link/);
  });

  it('names a release that is not there by its own reason', async () => {
    symlinkSync('x', join(index.disk, 'a.rar'));
    const [file] = await match(torrent('R', { 'a.rar': FILM, 'a.sfv': NFO }), { modes: ['unsplitable'] });
    assert.equal(file?.code, 'not-in-release');
    assert.deepEqual(refusedOf(file), [['a.rar', 'link']]);
  });

  it('names a few of many, and how many there are', async () => {
    for (let i = 0; i < 20; i++) {
      mkdirSync(join(index.disk, `${i}`));
      symlinkSync('x', join(index.disk, `${i}/film.mkv`));
    }
    const [file] = await match(torrent('film.mkv', FILM));
    assert.equal(file?.refused.length, 4);
    assert.match(file?.reason ?? '', /, as 3 more\.$/);
  });

  it('says that a candidate lies on a disk that is away, in each mode', async () => {
    put('R/film.mkv', FILM);
    put('R/film.sfv', NFO);
    put('R/a.rar', NFO);
    const cases: readonly [MatchMode, Metainfo][] = [
      ['normal', torrent('film.mkv', FILM)],
      ['exact', torrent('film.mkv', FILM)],
      ['hash_name', torrent('film.mkv', FILM)],
      ['hash_size', torrent('other.mkv', FILM)],
      ['unsplitable', torrent('R', { 'film.mkv': FILM, 'film.sfv': NFO, 'a.rar': NFO })],
    ];
    const path = join(index.disk, 'R/film.mkv');
    await index.rebuild();
    const away = `${index.disk}-away`;
    for (const [mode, metainfo] of cases) {
      const [file] = await match(metainfo, { modes: [mode], later: () => renameSync(index.disk, away) });
      renameSync(away, index.disk);
      assert.deepEqual([file?.code, refusedOf(file)], ['disk-away', [['R/film.mkv', 'disk-away']]], mode);
      assert.equal(file?.reason, `${path} lies on a disk that is away.`);
    }
    renameSync(path, `${path}.moved`);
    renameSync(`${path}.moved`, path);
    const [changed] = await match(torrent('film.mkv', FILM), { later: () => renameSync(path, `${path}.moved`) });
    assert.equal(changed?.code, 'changed');
  });

  it('alone is asked about, in one batch', async () => {
    put('a/film.mkv', FILM);
    symlinkSync('x', join(index.disk, 'film.nfo'));
    const asked: string[][] = [];
    const noting = (open: CollectionIndex): CollectionIndex =>
      new Proxy(open, {
        get(target, key: keyof CollectionIndex) {
          const value = target[key];
          if (typeof value !== 'function') return value;
          return async (questions: Parameters<CollectionIndex['leftOut']>[0]) => {
            if (key === 'leftOut') asked.push(questions.map(({ name }) => name));
            return await (value as (q: unknown) => Promise<unknown>).call(target, questions);
          };
        },
      });
    const whole = torrent('film.mkv', FILM);
    await match(whole, { noting });
    assert.deepEqual(asked, []);
    const files = await match(torrent('T', { 'film.mkv': FILM, 'film.nfo': NFO, 'x.bin': NFO }), { noting });
    assert.deepEqual(asked, [['film nfo', 'x bin']]);
    assert.deepEqual(
      files.map(({ code }) => code),
      ['probed', 'link', 'no-candidate'],
    );
  });

  it('is readable to root whatever its mode', { skip: process.getuid?.() !== 0 }, async () => {
    chmodSync(put('a/film.mkv', FILM), 0);
    const [file] = await match(torrent('film.mkv', FILM));
    assert.equal(file?.status, 'mapped');
  });
});
