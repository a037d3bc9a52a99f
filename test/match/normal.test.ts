import assert from 'node:assert/strict';
import { linkSync, lstatSync, mkdirSync, renameSync, rmSync, symlinkSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { GAP, ZEROS } from '../../src/extent/extent.ts';
import type { Metainfo } from '../../src/metainfo/metainfo.ts';
import { anywhere } from '../harness/anywhere.ts';
import { ownMountOn } from '../source/own-mount.ts';
import { content, type Files, PIECE, torrent, writeFiles } from './fixtures.ts';
import { ALL_MODES, codes, matchBench, modes, statuses } from './matching.ts';

const A = content('a', 5 * PIECE + 77);
const B = content('b', 3 * PIECE + 5);
const NFO = content('nfo', 700);
const RELEASE = { 'R/a.rar': B, 'R/a.sfv': NFO, 'R/film.mkv': A };

describe('normal mode', () => {
  const { match, run, disk } = matchBench();

  const cases: [string, Files, Metainfo, (string | undefined)[]][] = [
    ['finds a file anywhere', { 'x/y/film.mkv': A }, torrent('film.mkv', A), ['x/y/film.mkv']],
    ['compares names normalised', { 'The_Film.MKV': A }, torrent('the film.mkv', A), ['The_Film.MKV']],
    ['wants the size exactly', { 'film.mkv': A.subarray(1) }, torrent('film.mkv', A), [undefined]],
    [
      'takes files of one name and size from the folders that resemble the torrent',
      { 'q/2/cover.jpg': NFO, 'q/1/cover.jpg': NFO },
      torrent('t', { '1/cover.jpg': NFO, '2/cover.jpg': NFO }),
      ['q/1/cover.jpg', 'q/2/cover.jpg'],
    ],
    [
      'never takes one source twice while there is another',
      { 'p/a.bin': NFO, 'q/a.bin': NFO },
      torrent('t', { 'm/a.bin': NFO, 'n/a.bin': NFO }),
      ['p/a.bin', 'q/a.bin'],
    ],
    [
      'shares a source where there is no other',
      { 'p/a.bin': NFO },
      torrent('t', { 'm/a.bin': NFO, 'n/a.bin': NFO }),
      ['p/a.bin', 'p/a.bin'],
    ],
    [
      'gives a source to the file that resembles it most',
      { 'n/a.bin': NFO, 'o/a.bin': NFO },
      torrent('t', { 'm/a.bin': NFO, 'n/a.bin': NFO }),
      ['o/a.bin', 'n/a.bin'],
    ],
    [
      'prefers the place where the rest of the torrent lies',
      { 'aa/cover.jpg': NFO, 'other name/cover.jpg': NFO, 'other name/1.flac': A, 'zz/cover.jpg': NFO },
      torrent('Album', { '1.flac': A, 'cover.jpg': NFO }),
      ['other name/1.flac', 'other name/cover.jpg'],
    ],
    [
      'finds that place among very many, too',
      {
        ...Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`d${i}/poster.jpg`, NFO])),
        'd250/1.flac': A,
      },
      torrent('Album', { '1.flac': A, 'poster.jpg': NFO }),
      ['d250/1.flac', 'd250/poster.jpg'],
    ],
    [
      'prefers folders with the torrent’s words',
      { 'aa/film.mkv': A, 'Great Film (1999)/film.mkv': A, 'zz/film.mkv': A },
      torrent('Great.Film.1999.1080p', { 'film.mkv': A }),
      ['Great Film (1999)/film.mkv'],
    ],
    [
      'needs nothing for empty files and pads',
      { 'a.bin': A },
      torrent('t', { empty: Buffer.alloc(0), 'a.bin': A, '.pad/1': PIECE - 77, 'b/empty': Buffer.alloc(0) }),
      [undefined, 'a.bin', undefined, undefined],
    ],
    ['survives a tiny file of the same name', { 'a.bin': content('x', 3) }, torrent('a.bin', A), [undefined]],
    ['leaves the files of releases alone', RELEASE, torrent('film.mkv', A), [undefined]],
  ];
  for (const [name, files, metainfo, wanted] of cases) {
    it(name, async () => assert.deepEqual((await match(files, metainfo)).from, wanted));
  }

  it('matches the files of releases when unsplitable is off', async () => {
    assert.deepEqual((await match(RELEASE, torrent('film.mkv', A), { scanModes: ['normal'] })).from, ['R/film.mkv']);
  });

  it('says what it did, and counts no pad as missing', async () => {
    const metainfo = torrent('t', { 'a.bin': A, '.pad/1': PIECE - 77, 'gone.bin': NFO, none: Buffer.alloc(0) });
    const found = await match({ 'a.bin': A }, metainfo);
    assert.deepEqual(statuses(found), ['mapped', 'pad', 'missing', 'mapped']);
    assert.deepEqual(codes(found), ['believed', 'pad', 'no-candidate', 'empty']);
    assert.deepEqual(modes(found), ['normal', 'none', 'none', 'none']);
    assert.equal(found.wantedBytes, A.length + NFO.length);
    assert.equal(found.missingBytes, NFO.length);
    assert.equal(found.verifiedPieces, 0);
    assert.deepEqual(
      found.files.map(({ extents }) => extents.map(({ source }) => source)),
      [[0], [ZEROS], [GAP], []],
    );
    assert.match(
      found.reason,
      /^1 of 2 files are not complete; 0 of 7 pieces verified\. The first, gone\.bin: No file/,
    );
  });

  const changes: [string, (disk: string) => void, RegExp][] = [
    ['is gone', (disk) => rmSync(join(disk, 'a.bin')), /a\.bin is not there any more/],
    ['was cut', (disk) => truncateSync(join(disk, 'a.bin'), 5), /a\.bin has 5 bytes now/],
    [
      'is a folder now',
      (disk) => {
        rmSync(join(disk, 'a.bin'));
        mkdirSync(join(disk, 'a.bin'));
      },
      /is not a regular file any more/,
    ],
    [
      'is a symlink now',
      (disk) => {
        renameSync(join(disk, 'a.bin'), join(disk, 'moved'));
        symlinkSync(join(disk, 'moved'), join(disk, 'a.bin'));
      },
      /is a symbolic link now/,
    ],
  ];
  for (const [name, later, reason] of changes) {
    it(`sees that a candidate ${name}, and takes the next`, async () => {
      const found = await match({ 'a.bin': A }, torrent('a.bin', A), { later });
      assert.deepEqual(codes(found), ['changed']);
      assert.match(found.files[0]?.reason ?? '', reason);
      const both = await match({ 'a.bin': A, 'zz/a.bin': A }, torrent('a.bin', A), { later });
      assert.deepEqual(both.from, ['zz/a.bin']);
    });
  }

  it('takes no source twice either where a candidate is gone', async () => {
    const files = { 'p/a.bin': NFO, 'q/a.bin': NFO, 'r/a.bin': NFO };
    const found = await match(files, torrent('t', { 'm/a.bin': NFO, 'n/a.bin': NFO }), {
      later: (disk) => rmSync(join(disk, 'p/a.bin')),
    });
    assert.deepEqual(new Set(found.from), new Set(['q/a.bin', 'r/a.bin']));
  });

  it('refuses what lies on a mount of its own', async () => {
    const { dev } = lstatSync(disk());
    const found = await match({ 'a.bin': A }, torrent('a.bin', A), {
      access: anywhere({ ownMounts: ownMountOn(dev) }),
    });
    assert.deepEqual(statuses(found), ['missing']);
    assert.match(found.files[0]?.reason ?? '', /mount of autotorrent itself/);
  });

  it('counts hard links as one candidate', async () => {
    const folder = writeFiles(disk(), { 'a.bin': NFO });
    mkdirSync(join(folder, 'b'));
    linkSync(join(folder, 'a.bin'), join(folder, 'b/a.bin'));
    const { found } = await run(folder, [torrent('t', { 'm/a.bin': NFO, 'n/a.bin': NFO })]);
    assert.equal(found[0]?.sources.length, 1);
    assert.equal(found[0].missingBytes, 0);
  });

  it('keeps names that are not UTF-8 as bytes', async () => {
    const folder = writeFiles(disk(), { 'a.bin': A });
    const below = Buffer.concat([Buffer.from(`${folder}/`), Buffer.from('d\xe9', 'latin1')]);
    mkdirSync(below);
    const inside = Buffer.concat([below, Buffer.from('/a.bin')]);
    renameSync(join(folder, 'a.bin'), inside);
    const { found } = await run(folder, [torrent('a.bin', A)], { verify: 'full' });
    assert.deepEqual(found[0]?.sources[0]?.path, inside);
    assert.deepEqual(found[0]?.files[0]?.code, 'verified');
  });

  it('asks few batches for many torrents', async () => {
    const files: Record<string, Buffer> = {};
    const metainfos = Array.from({ length: 60 }, (_, i) => {
      files[`d${i}/film ${i}.mkv`] = NFO;
      files[`d${i}/poster.jpg`] = B;
      return torrent(`film ${i}`, { [`film ${i}.mkv`]: NFO, 'poster.jpg': B });
    });
    const { found, calls } = await run(writeFiles(disk(), files), metainfos, { scanModes: ALL_MODES });
    assert.ok(calls.length <= 6, calls.join(' '));
    for (const [i, { from }] of found.entries()) assert.deepEqual(from, [`d${i}/film ${i}.mkv`, `d${i}/poster.jpg`]);
  });
});
