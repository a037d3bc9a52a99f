import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Metainfo } from '../../src/metainfo/metainfo.ts';
import { content, type Files, PIECE, torrent } from './fixtures.ts';
import { codes, matchBench, modes } from './matching.ts';

const A = content('a', 5 * PIECE + 77);
const B = content('b', 3 * PIECE + 5);
const NFO = content('nfo', 700);
const RAR = content('rar', 2 * PIECE);
const R00 = content('r00', 2 * PIECE);
const R01 = content('r01', PIECE + 19);
const SFV = content('sfv', 60);
const NAME = 'Show.S01E01-GRP';

const RELEASE: Files = {
  'a.rar': RAR,
  'a.r00': R00,
  'a.r01': R01,
  'a.sfv': SFV,
  'a.nfo': NFO,
  'Sample/s.mkv': content('s', 900),
};
const BDMV: Files = {
  'BDMV/index.bdmv': content('i', 128),
  'BDMV/MovieObject.bdmv': content('m', 1234),
  'BDMV/BACKUP/MovieObject.bdmv': content('m', 1234),
  'BDMV/STREAM/00000.m2ts': A,
  'BDMV/STREAM/00001.m2ts': B,
};
const CDS: Files = {
  'CD1/x.rar': RAR,
  'CD1/x.sfv': SFV,
  'CD2/x.rar': R00,
  'CD2/x.sfv': content('sfv2', 60),
  'x.nfo': NFO,
};
const DVD: Files = { 'VIDEO_TS/VTS_01_1.VOB': A, 'VIDEO_TS/VTS_01_2.VOB': B, 'VIDEO_TS/VIDEO_TS.IFO': NFO };

const under = (root: string, files: Files = RELEASE): Files =>
  Object.fromEntries(Object.entries(files).map(([path, bytes]) => [`${root}/${path}`, bytes]));
const without = (...names: string[]): Files =>
  Object.fromEntries(Object.entries(RELEASE).filter(([path]) => !names.includes(path)));

describe('unsplitable mode', () => {
  const { match } = matchBench();
  const release = torrent(NAME, RELEASE);
  const spare = without('a.nfo', 'a.sfv', 'Sample/s.mkv');

  const cases: [string, Files, Metainfo, number][] = [
    ['finds a release', under(`tv/${NAME}`), release, 6],
    ['compares names normalised', under('tv/show s01e01 grp'), release, 6],
    ['finds a release whose root was renamed', under('tv/other'), release, 6],
    ['does without nfo, sfv and sample', under('tv/other', spare), release, 3],
    ['does not take part of a release under another name', under('tv/other', without('a.r01')), release, 0],
    ['takes what is there of a release under its name', under(`tv/${NAME}`, without('a.r01')), release, 5],
    ['does not gather a release', { ...under('tv/x', without('a.r01')), 'tv/y/a.r01': R01 }, release, 0],
    ['finds a Blu-ray', under('disc/Film', BDMV), torrent('Film.COMPLETE.BLURAY', BDMV), 5],
    ['finds a DVD', under('disc/Film', DVD), torrent('Film.PAL.DVDR', DVD), 3],
    ['finds CD1 and CD2', under('movies/F', CDS), torrent('Film.DVDRip-GRP', CDS), 5],
    [
      'finds a torrent that is a part of a release',
      under('movies/F', CDS),
      torrent('CD1', { 'x.rar': RAR, 'x.sfv': SFV }),
      2,
    ],
    ['finds releases inside a pack', under('tv/E1'), torrent('Pack', { ...under(NAME), 'readme.pdf': B }), 6],
    [
      'finds an album whose sfv is gone',
      { 'm/x/01.mp3': A, 'm/x/02.mp3': B },
      torrent('Album-GRP', { '01.mp3': A, '02.mp3': B, '00.sfv': SFV }),
      2,
    ],
    [
      'does not take part of an album whose sfv is gone',
      { 'm/x/01.mp3': A, 'm/y/02.mp3': B },
      torrent('Album-GRP', { '01.mp3': A, '02.mp3': B, '00.sfv': SFV }),
      0,
    ],
    [
      'takes no folder for a disc by its first letters',
      under('tv/Discovery.Channel.X'),
      torrent('Discovery.Channel.X', RELEASE),
      6,
    ],
    [
      'is not led astray by a stray rar and sfv on the disk',
      { 'x.rar': NFO, 'x.sfv': SFV, 'film.mkv': A },
      torrent('film.mkv', A),
      1,
    ],
  ];
  for (const [name, files, metainfo, wanted] of cases) {
    it(name, async () => {
      const found = await match(files, metainfo);
      assert.equal(found.from.filter((path) => path !== undefined).length, wanted, found.reason);
      const used = new Set(modes(found).filter((mode) => mode !== 'none'));
      assert.deepEqual([...used], wanted === 0 ? [] : metainfo.multi ? ['unsplitable'] : ['normal']);
    });
  }

  it('says why a release is not found', async () => {
    const found = await match({ 'x/a.rar': RAR, 'x/a.r00': R00 }, release);
    assert.deepEqual(new Set(codes(found)), new Set(['not-in-release']));
  });

  it('takes the copy with most of the release, then the one with its name', async () => {
    const files = { ...under(`aa/${NAME}`, without('a.nfo')), ...under('bb/other'), ...under(`cc/${NAME}`) };
    const found = await match(files, release);
    assert.deepEqual(new Set(found.from.map((path) => path?.split('/', 2).join('/'))), new Set([`cc/${NAME}`]));
  });

  it('takes a damaged volume from another copy, when it may hash', async () => {
    const damaged = { ...RELEASE, 'a.r00': content('damaged', R00.length) };
    const found = await match({ ...under(`aa/${NAME}`, damaged), ...under('bb/other') }, release, { verify: 'probe' });
    assert.equal(found.from[1], 'bb/other/a.r00');
    assert.equal(found.missingBytes, 0);
  });

  it('is not asked when it is off', async () => {
    const found = await match(under('x'), release, { scanModes: ['normal'] });
    assert.deepEqual(new Set(modes(found)), new Set(['normal']));
  });
});
