/** Releases in the layouts that collections have: where pieces are hashed they count, wherever a release's files lie. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { content, type Files, PIECE, torrent } from './fixtures.ts';
import { codes, matchBench, modes } from './matching.ts';

const LEVELS = ['probe', 'full'] as const;

/** The files of one disc; `n` makes other bytes of the same sizes and names, as the discs of a set have. */
const disc = (files: Readonly<Record<string, number>>, n: number): Files =>
  Object.fromEntries(Object.entries(files).map(([path, size]) => [path, content(`${path} of disc ${n}`, size)]));
const under = (root: string, files: Files): Files =>
  Object.fromEntries(Object.entries(files).map(([path, bytes]) => [`${root}/${path}`, bytes]));

/** Gives a release of the same names and sizes, of which nothing else is the same: a nuked one, or another cut. */
const otherBytes = (files: Files): Files =>
  Object.fromEntries(Object.entries(files).map(([path, bytes]) => [path, content(`other ${path}`, bytes.length)]));

/** Discs: what lies on each, and how the parts of a set are called. */
const KINDS: Readonly<Record<string, { readonly files: Readonly<Record<string, number>>; readonly part: string }>> = {
  DVD: {
    part: 'DISC',
    files: {
      'VIDEO_TS/VIDEO_TS.BUP': 1200,
      'VIDEO_TS/VIDEO_TS.IFO': 1200,
      'VIDEO_TS/VTS_01_0.IFO': 2400,
      'VIDEO_TS/VTS_01_1.VOB': 5 * PIECE + 77,
      'VIDEO_TS/VTS_01_2.VOB': 3 * PIECE + 5,
    },
  },
  'Blu-ray': {
    part: 'DISC',
    files: {
      'BDMV/BACKUP/MovieObject.bdmv': 1234,
      'BDMV/MovieObject.bdmv': 1234,
      'BDMV/STREAM/00000.m2ts': 5 * PIECE + 77,
      'BDMV/STREAM/00001.m2ts': 3 * PIECE + 5,
      'BDMV/index.bdmv': 128,
      'CERTIFICATE/id.bdmv': 104,
    },
  },
  'RAR set': {
    part: 'CD',
    files: { 'x.r00': 2 * PIECE, 'x.r01': PIECE + 19, 'x.rar': 2 * PIECE, 'x.sfv': 60 },
  },
  album: { part: 'CD', files: { '00-a.sfv': 60, '01-a.mp3': 4 * PIECE + 7, '02-b.mp3': 2 * PIECE + 99 } },
};

/** Collections with the two discs of a set called `name`, whose parts are called `part` and their number. */
const LAYOUTS: Readonly<Record<string, (one: Files, two: Files, name: string, part: string) => Files>> = {
  'as it is': (one, two, name, part) => ({
    ...under(`m/${name}/${part}1`, one),
    ...under(`m/${name}/${part}2`, two),
  }),
  'with discs in two folders of its name': (one, two, name, part) => ({
    ...under(`a/${name}/${part}1`, one),
    ...under(`b/${name}/${part}2`, two),
  }),
  'with discs in folders of two other names': (one, two, _, part) => ({
    ...under(`a/First/${part}1`, one),
    ...under(`b/Second/${part}2`, two),
  }),
  'with discs under their own names alone': (one, two) => ({ ...under('a/one', one), ...under('b/two', two) }),
  'with a disc in its folder and one elsewhere': (one, two, name, part) => ({
    ...under(`m/${name}/${part}1`, one),
    ...under('other/x', two),
  }),
  'with D1 and D2 in its folder': (one, two, name) => ({
    ...under(`m/${name}/D1`, one),
    ...under(`m/${name}/D2`, two),
  }),
  'with discs whose names sort the other way': (one, two) => ({ ...under('m/x/zz', one), ...under('m/x/aa', two) }),
  'with discs in folders inside folders': (one, two, name, part) => ({
    ...under(`m/${name}/extra/${part}1/deep`, one),
    ...under(`m/x/${part}2/deeper/still`, two),
  }),
  'beside other bytes under its own name': (one, two, name, part) => ({
    ...under(`m/${name}/${part}1`, otherBytes(one)),
    ...under(`m/${name}/${part}2`, otherBytes(two)),
    ...under('q/D1', one),
    ...under('r/D2', two),
  }),
};

describe('releases whose pieces are hashed', () => {
  const { match } = matchBench();

  for (const [kind, { files, part }] of Object.entries(KINDS)) {
    const [one, two] = [disc(files, 1), disc(files, 2)];
    const set = torrent('The.Set-GRP', { ...under(`${part}1`, one), ...under(`${part}2`, two) });
    for (const [layout, place] of Object.entries(LAYOUTS)) {
      it(`finds a ${kind} of two discs ${layout}`, async () => {
        for (const verify of LEVELS) {
          const found = await match(place(one, two, 'The.Set-GRP', part), set, { verify });
          assert.equal(found.missingBytes, 0, `${verify}: ${found.reason}`);
        }
      });
    }
  }

  const FILM = content('film', 6 * PIECE + 100);
  const RARS: Files = {
    'f.nfo': content('nfo', 700),
    'f.r00': content('r00', 2 * PIECE),
    'f.rar': content('rar', 2 * PIECE),
    'f.sfv': content('sfv', 60),
  };
  const beside: readonly [string, Files, Parameters<typeof torrent>[1]][] = [
    ['a film', { ...under('m/F', RARS), 'm/F/film.mkv': FILM }, FILM],
    ['a film in a part', { ...under('m/F/CD1', RARS), 'm/F/CD1/film.mkv': FILM }, FILM],
    ['a film below', { ...under('m/F', RARS), 'm/F/unpacked/film.mkv': FILM }, FILM],
    [
      'a film and its nfo',
      { ...under('m/F', RARS), 'm/F/film.mkv': FILM },
      { 'f.nfo': RARS['f.nfo'] ?? FILM, 'film.mkv': FILM },
    ],
    ['a song of an album', { 'm/A/00.sfv': content('sfv', 60), 'm/A/film.mkv': FILM, 'm/A/b.mp3': FILM }, FILM],
  ];
  for (const [name, files, parts] of beside) {
    it(`finds ${name} among the files of a release that the torrent is not`, async () => {
      for (const verify of LEVELS) {
        const found = await match(files, torrent('film.mkv', parts), { verify });
        assert.equal(found.missingBytes, 0, found.reason);
      }
      const believed = await match(files, torrent('film.mkv', parts), { verify: 'none', bothIndices: false });
      assert.equal(believed.missingBytes, believed.wantedBytes, 'a name and a size take nothing out of a release');
    });
  }

  const SIDECARS = [
    'f.nfo',
    'F.SFV',
    'file_id.diz',
    'read.me.txt',
    'cover.jpg',
    'Scans/cover.JPEG',
    'Sample/f-s.mkv',
    'samples/x.vob',
    'sample-f.mkv',
    'f-sample.avi',
    'Proof/p.png',
    'proofs/p.jpg',
    'Subs/f.rar',
    'VobSubs/f.idx',
    'subtitles/en.srt',
    'CERTIFICATE/id.bdmv',
    'CERTIFICATE/BACKUP/app.discroot.crt',
  ];
  const cores: Readonly<Record<string, Files>> = {
    RARs: { 'f.r00': content('r00', 2 * PIECE), 'f.rar': content('rar', PIECE + 5), 'f.sfv': content('sfv', 60) },
    'a Blu-ray': disc({ 'BDMV/MovieObject.bdmv': 1234, 'BDMV/STREAM/0.m2ts': 3 * PIECE, 'BDMV/index.bdmv': 128 }, 1),
    'an album': { '1.mp3': content('1', 2 * PIECE), '2.mp3': content('2', PIECE), 'a.sfv': content('sfv', 60) },
  };
  for (const [kind, core] of Object.entries(cores)) {
    for (const sidecar of SIDECARS) {
      it(`takes ${kind} under another name without ${sidecar}, whatever is hashed`, async () => {
        // The pad lets the pieces of the others be hashed without it.
        const missing = { [sidecar]: content('sidecar', 104), '.pad/1': PIECE - 104 };
        const release = torrent('Release-GRP', { ...missing, ...core });
        for (const verify of ['none', ...LEVELS] as const) {
          const found = await match(under('m/other', core), release, { verify, bothIndices: false });
          assert.equal(found.missingBytes, 104, `${verify}: ${found.reason}`);
          assert.deepEqual(new Set(modes(found)), new Set(['unsplitable', 'none']));
        }
      });
    }

    it(`keeps ${kind} together under another name where something else is missing and nothing is hashed`, async () => {
      const release = torrent('Release-GRP', { 'more.bin': content('more', 3 * PIECE), ...core });
      const found = await match(under('m/other', core), release, { verify: 'none', bothIndices: false });
      assert.deepEqual(new Set(codes(found)), new Set(['not-in-release']));
      for (const verify of LEVELS) {
        const hashed = await match(under('m/other', core), release, { verify });
        assert.equal(hashed.missingBytes, 3 * PIECE, hashed.reason);
        assert.equal(codes(hashed)[0], 'no-candidate');
      }
    });
  }

  const set = KINDS['RAR set'];
  assert.ok(set !== undefined);
  const right = disc(set.files, 1);
  const nuked = { ...right, 'x.r00': content('nuked', 2 * PIECE), 'x.sfv': content('nuked sfv', 60) };
  const rights: readonly [string, Files][] = [
    ['under another name', under('m/aa', right)],
    ['under a name that sorts later', under('z/zz', right)],
    ['in two folders', { 'a/x.r00': right['x.r00'] ?? FILM, 'b/x.sfv': right['x.sfv'] ?? FILM }],
  ];
  for (const [where, files] of rights) {
    it(`takes the right version ${where}, not the nuked one that has the torrent's name`, async () => {
      const wanted = torrent('Film-GRP', right);
      for (const verify of LEVELS) {
        const found = await match({ ...under('m/Film-GRP', nuked), ...files }, wanted, { verify });
        assert.equal(found.missingBytes, 0, found.reason);
      }
    });
  }

  it('says of a file that is in no folder of its release that nothing has its name and size', async () => {
    const release = torrent('Film-GRP', right);
    const found = await match({ 'x/other.bin': FILM }, release, { verify: 'probe' });
    assert.deepEqual(new Set(codes(found)), new Set(['no-candidate']));
    const alone = await match({ 'x/other.bin': FILM }, release, { verify: 'probe', scanModes: ['unsplitable'] });
    assert.deepEqual(new Set(codes(alone)), new Set(['not-in-release']));
  });
});
