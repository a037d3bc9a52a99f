import assert from 'node:assert/strict';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { content, type Files, PIECE, torrent, writeFiles } from './fixtures.ts';
import { ALL_MODES, matchBench, modes, statuses } from './matching.ts';

const A = content('a', 5 * PIECE + 77);
const NFO = content('nfo', 700);

describe('exact mode', () => {
  const { match, run, disk } = matchBench();
  const T = torrent('T', { 'cd/a.bin': A, 'b.nfo': NFO });
  const placed = { 'd/T/cd/a.bin': A, 'd/T/b.nfo': NFO, 'aa/a.bin': A };

  it('finds the whole torrent under its own name, and says where', async () => {
    const found = await match(placed, T, { scanModes: ALL_MODES });
    assert.deepEqual(found.from, ['d/T/cd/a.bin', 'd/T/b.nfo']);
    assert.deepEqual(modes(found), ['exact', 'exact']);
    assert.equal(found.original?.toString(), join(found.disk, 'd'));
  });

  it('finds a single file under its own name', async () => {
    const found = await match({ 'aa/FILM.mkv': A, 'd/film.mkv': A }, torrent('film.mkv', A), { scanModes: ALL_MODES });
    assert.deepEqual([found.from, modes(found)], [['d/film.mkv'], ['exact']]);
    assert.equal(found.original?.toString(), join(found.disk, 'd'));
  });

  const refuted: [string, Files][] = [
    ['a file is missing', { 'd/T/cd/a.bin': A }],
    ['a size differs', { 'd/T/cd/a.bin': A, 'd/T/b.nfo': NFO.subarray(1) }],
    ['a name differs in case', { 'd/T/cd/A.bin': A, 'd/T/b.nfo': NFO }],
    ['the folder’s name differs in case', { 'd/t/cd/a.bin': A, 'd/t/b.nfo': NFO }],
  ];
  for (const [name, files] of refuted) {
    it(`finds nothing where ${name}`, async () => {
      const found = await match(files, T, { scanModes: ['exact'] });
      assert.deepEqual(statuses(found), ['missing', 'missing']);
      assert.equal(found.original, undefined);
    });
  }

  it('is not asked when it is off', async () => {
    const found = await match(placed, T, { scanModes: ['normal'] });
    assert.equal(found.original, undefined);
    assert.deepEqual(modes(found), ['normal', 'normal']);
  });

  it('gives way where hashing refutes it', async () => {
    const files = { ...placed, 'd/T/cd/a.bin': content('wrong', A.length) };
    const found = await match(files, T, { scanModes: ALL_MODES, verify: 'probe' });
    assert.deepEqual(found.from, ['aa/a.bin', 'd/T/b.nfo']);
    assert.deepEqual(modes(found), ['normal', 'exact']);
    assert.equal(found.original, undefined);
  });

  it('takes another copy of the whole where one fails', async () => {
    const files = { 'a/T/cd/a.bin': content('wrong', A.length), 'a/T/b.nfo': NFO, 'b/T/cd/a.bin': A, 'b/T/b.nfo': NFO };
    const found = await match(files, T, { scanModes: ALL_MODES, verify: 'full', bothIndices: true });
    assert.deepEqual(found.from, ['b/T/cd/a.bin', 'a/T/b.nfo']);
    assert.equal(found.original, undefined);
    assert.equal(found.missingBytes, 0);
  });

  it('compares names as the bytes that the torrent has', async () => {
    const name = Buffer.from('caf\xe9', 'latin1');
    const folder = writeFiles(disk(), { 'T/a.bin': A });
    renameSync(join(folder, 'T'), Buffer.concat([Buffer.from(`${folder}/`), name]));
    const { found } = await run(folder, [torrent(name, { 'a.bin': A })], { scanModes: ['exact'] });
    assert.equal(found[0]?.original?.toString(), folder);
  });
});
