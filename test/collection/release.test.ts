import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isReleaseFolder, isReleasePart, isSidecar, releaseRoots } from '../../src/collection/release.ts';

/** Roots by path, from the files of each folder; the first folder is a disk where `disk` says so. */
function rootsOf(folders: Record<string, string[]>, disk = true): Record<string, string | null> {
  const paths = Object.keys(folders);
  const parents = paths.map((path) => paths.indexOf(path.slice(0, path.lastIndexOf('/'))));
  const roots = releaseRoots({
    count: paths.length,
    parent: (i) => parents[i] ?? -1,
    marked: (i) => isReleaseFolder(folders[paths[i] ?? ''] ?? []),
    part: (i) => isReleasePart((paths[i] ?? '').split('/').at(-1) ?? ''),
    disk: (i) => disk && i === 0,
  });
  return Object.fromEntries(paths.map((path, i) => [path, paths[roots[i] ?? -1] ?? null]));
}

describe('releases', () => {
  const marks: [string[], boolean][] = [
    [['a.rar', 'A.SFV'], true],
    [['a.rar', 'a.r00'], true],
    [['a.mp3', 'b.sfv'], true],
    [['VTS_01_1.VOB', 'VTS_01_0.IFO'], true],
    [['MOVIEOBJECT.bdmv'], true],
    [['a.rar'], false],
    [['a.r00', 'a.sfv'], false],
    [['a.mp3', 'a.nfo'], false],
    [['xMovieObject.bdmv', 'rar', 'sfv'], false],
    [[], false],
  ];
  for (const [names, expected] of marks) {
    it(`${names.join(' + ') || 'nothing'} ${expected ? 'marks' : 'does not mark'} one`, () => {
      assert.equal(isReleaseFolder(names), expected);
    });
  }

  it('knows the names of mere parts', () => {
    for (const name of [
      'CD1',
      'sample',
      'Samples',
      'Proof',
      'vobsubs',
      'Subtitles',
      'sub',
      'BDMV',
      'BACKUP',
      'Disc12',
      'VIDEO_TS',
    ]) {
      assert.ok(isReleasePart(name), name);
    }
    for (const name of ['CD0', 'CD10', 'Discovery.Channel.X', 'disc', 'Subway', 'samplesx', '']) {
      assert.ok(!isReleasePart(name), name);
    }
  });

  it('knows what may be missing from a copy of a release', () => {
    for (const path of [
      'a.nfo',
      'A.SFV',
      'file_id.diz',
      'x.txt',
      'cover.jpg',
      'scans/front.jpeg',
      'Sample/a.mkv',
      'CD1/samples/a.vob',
      'sample-a.mkv',
      'a.sample.avi',
      'Proof/a.png',
      'VobSubs/a.rar',
      'subtitles/a.srt',
      'CERTIFICATE/BACKUP/id.bdmv',
    ]) {
      assert.ok(isSidecar(path.split('/')), path);
    }
    for (const path of [
      'a.rar',
      'CD1/a.rar',
      'samples.rar',
      'a.sampler.mkv',
      'resample.mkv',
      'nfo',
      'BDMV/index.bdmv',
    ]) {
      assert.ok(!isSidecar(path.split('/')), path);
    }
  });

  it('climbs over parts to the root', () => {
    const roots = rootsOf({
      '': [],
      '/Film': [],
      '/Film/BDMV': ['index.bdmv', 'MovieObject.bdmv'],
      '/Film/BDMV/BACKUP': ['MovieObject.bdmv'],
      '/Film/BDMV/STREAM': ['1.m2ts'],
      '/Other': ['a.mkv'],
    });
    assert.deepEqual(roots, {
      '': null,
      '/Film': '/Film',
      '/Film/BDMV': '/Film',
      '/Film/BDMV/BACKUP': '/Film',
      '/Film/BDMV/STREAM': '/Film',
      '/Other': null,
    });
  });

  it('never takes a disk for one, but keeps what lies in it', () => {
    const roots = rootsOf({ '': ['stray.rar', 'stray.sfv'], '/CD1': ['a.rar', 'a.sfv'], '/Other': ['b'] });
    assert.deepEqual(roots, { '': null, '/CD1': '/CD1', '/Other': null });
  });

  it("takes a torrent's top folder for one", () => {
    assert.deepEqual(rootsOf({ '': ['a.rar', 'a.sfv'] }, false), { '': '' });
  });

  it('gives a file to the nearest of nested ones', () => {
    const roots = rootsOf({ '': [], '/Pack': ['p.rar', 'p.sfv'], '/Pack/E1': ['a.rar', 'a.r00'], '/Pack/X': [] });
    assert.deepEqual(roots, { '': null, '/Pack': '/Pack', '/Pack/E1': '/Pack/E1', '/Pack/X': '/Pack' });
  });
});
