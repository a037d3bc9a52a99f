import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hasBit } from '../../src/extent/bitfield.ts';
import { GAP } from '../../src/extent/extent.ts';
import { content, PIECE, torrent, writeFiles } from './fixtures.ts';
import { codes, matchBench, readMatched, statuses } from './matching.ts';

const A = content('a', 5 * PIECE + 77);
const B = content('b', 3 * PIECE + 5);
const NFO = content('nfo', 700);
const OTHER_NFO = content('other nfo', NFO.length);
const GARBAGE = content('garbage', A.length);
const ZERO_TAIL = Buffer.concat([A.subarray(0, 3 * PIECE), Buffer.alloc(A.length - 3 * PIECE)]);
const ZERO_HEAD = Buffer.concat([Buffer.alloc(2 * PIECE), A.subarray(2 * PIECE)]);
const LEVELS = ['probe', 'full'] as const;

describe('verification', () => {
  const { match, run, disk } = matchBench();
  const film = torrent('film.mkv', A);
  const three = torrent('t', { 'a.bin': A, 'n.nfo': NFO, 'b.bin': B });

  it('probes to find the right one of several', async () => {
    const files = { 'aa/film.mkv': GARBAGE, 'bb/film.mkv': ZERO_TAIL, 'cc/film.mkv': A };
    const found = await match(files, film, { verify: 'probe' });
    assert.deepEqual(found.from, ['cc/film.mkv']);
    assert.equal(found.verifiedPieces, 5);
    assert.deepEqual(codes(found), ['probed']);
  });

  it('rejects an incomplete download by probing', async () => {
    const found = await match({ 'film.mkv': ZERO_TAIL }, film, { verify: 'probe' });
    assert.deepEqual([statuses(found), codes(found)], [['missing'], ['hash-mismatch']]);
    assert.equal(found.missingBytes, A.length);
    assert.equal(found.verifiedPieces, 0);
    assert.match(found.files[0]?.reason ?? '', /film\.mkv: 3 of 5 hashed pieces failed; piece 3 has other bytes/);
  });

  it('keeps the good pieces of an incomplete download when it hashes all', async () => {
    const found = await match({ 'film.mkv': ZERO_TAIL }, film, { verify: 'full' });
    assert.deepEqual([statuses(found), codes(found)], [['partial'], ['pieces-failed']]);
    assert.deepEqual(found.files[0]?.extents, [
      { offset: 0, length: 3 * PIECE, source: 0, sourceOffset: 0 },
      { offset: 3 * PIECE, length: A.length - 3 * PIECE, source: GAP, sourceOffset: 0 },
    ]);
    assert.equal(found.verifiedPieces, 3);
  });

  it('puts a file together from the good pieces of two', async () => {
    const found = await match({ 'aa/film.mkv': ZERO_TAIL, 'bb/film.mkv': ZERO_HEAD }, film, { verify: 'full' });
    assert.deepEqual([statuses(found), codes(found)], [['mapped'], ['verified']]);
    assert.equal(found.verifiedPieces, 6);
    assert.equal(found.sources.length, 2);
    assert.deepEqual(readMatched(found, 0), A);
  });

  it('verifies every piece, those of several files and of pads, too', async () => {
    const files = { 'a.bin': A, 'n.nfo': NFO, 'b.bin': B };
    const plain = await match(files, three, { verify: 'full' });
    assert.equal(plain.verifiedPieces, plain.metainfo.pieceCount);
    assert.deepEqual(codes(plain), ['verified', 'verified', 'verified']);
    const layout = { 'a.bin': A, '.pad/0': PIECE - 77, 'n.nfo': NFO, '.pad/1': PIECE - 700, 'b.bin': B, '.pad/2': 9 };
    for (const verify of LEVELS) {
      const padded = await match(files, torrent('t', layout), { verify });
      assert.equal(padded.verifiedPieces, verify === 'full' ? padded.metainfo.pieceCount : 10);
      assert.equal(codes(padded)[2], 'verified');
    }
  });

  for (const verify of LEVELS) {
    it(`decides small files by the pieces they share: ${verify}`, async () => {
      const files = { 'a.bin': A, 'aa/n.nfo': OTHER_NFO, 'bb/n.nfo': NFO, 'b.bin': B };
      const found = await match(files, three, { verify });
      assert.deepEqual(found.from, ['a.bin', 'bb/n.nfo', 'b.bin']);
      assert.equal(found.missingBytes, 0);
      assert.equal(codes(found)[1], 'verified');
    });

    it(`blames the file that nothing proves: ${verify}`, async () => {
      const found = await match({ 'a.bin': A, 'n.nfo': OTHER_NFO, 'b.bin': B }, three, { verify });
      assert.deepEqual(statuses(found), ['mapped', 'missing', 'mapped']);
      assert.equal(codes(found)[1], 'hash-mismatch');
      assert.equal(found.missingBytes, NFO.length);
    });

    it(`does not map what no piece proves, and says so: ${verify}`, async () => {
      const metainfo = torrent('t', { 'gone.bin': content('gone', 60), 'n.nfo': NFO, 'b.bin': B });
      const found = await match({ 'n.nfo': NFO, 'b.bin': B }, metainfo, { verify });
      assert.deepEqual(codes(found), ['no-candidate', 'unproven', 'probed']);
      assert.deepEqual(statuses(found), ['missing', 'missing', 'mapped']);
      assert.equal(hasBit(found.verified, 0), false);
      assert.equal(found.missingBytes, 60 + NFO.length);
      const nfo = found.files[1];
      assert.deepEqual(
        nfo?.refused.map(({ source, code }) => [source.toString(), code]),
        [[`${found.disk}/n.nfo`, 'unproven']],
      );
      assert.match(nfo?.reason ?? '', /n\.nfo has its name and size, but nothing proves its bytes/);
    });

    it(`maps of a small file only the pieces that are proven: ${verify}`, async () => {
      // 4 bytes of the small file are in the piece that proves a.bin; the others beside what is missing.
      const head = content('head', PIECE - 4);
      const metainfo = torrent('t', { 'a.bin': head, 'n.nfo': NFO, 'gone.bin': content('gone', 60) });
      const found = await match({ 'a.bin': head, 'n.nfo': NFO }, metainfo, { verify });
      assert.deepEqual(codes(found), ['verified', 'unproven', 'no-candidate']);
      assert.deepEqual(statuses(found), ['mapped', 'partial', 'missing']);
      assert.deepEqual(
        found.files[1]?.extents.map(({ offset, length, source }) => [offset, length, source === GAP]),
        [
          [0, 4, false],
          [4, NFO.length - 4, true],
        ],
      );
      assert.equal(found.missingBytes, NFO.length - 4 + 60);
    });
  }

  it('finds the right combination of several small files', async () => {
    const files: Record<string, Buffer> = {};
    for (const name of ['x.jpg', 'y.jpg', 'z.jpg']) {
      for (const copy of ['aa', 'bb', 'cc']) files[`${copy}/${name}`] = content(`${copy}${name}`, 500);
    }
    const right = ['bb/x.jpg', 'aa/y.jpg', 'cc/z.jpg'];
    const parts = Object.fromEntries(right.map((path) => [path.slice(3), files[path] ?? NFO]));
    const found = await match(files, torrent('t', parts), { verify: 'probe' });
    assert.deepEqual(found.from, right);
    assert.equal(found.verifiedPieces, 1);
  });

  it('makes gaps of a shared piece that fails between proven files', async () => {
    const badTail = Buffer.concat([A.subarray(0, 5 * PIECE), Buffer.alloc(77)]);
    const two = torrent('t', { 'a.bin': A, 'b.bin': B });
    const found = await match({ 'a.bin': badTail, 'b.bin': B }, two, { verify: 'full' });
    assert.deepEqual(statuses(found), ['partial', 'partial']);
    const parts = found.files.map(({ extents }) => extents.map(({ source, length }) => [source, length]));
    assert.deepEqual(parts, [
      [
        [0, 5 * PIECE],
        [GAP, 77],
      ],
      [
        [GAP, PIECE - 77],
        [1, B.length - PIECE + 77],
      ],
    ]);
  });

  it('does not guess the bytes beside a piece that failed', async () => {
    // Piece 5 cannot be asked about: b.bin is missing. Piece 4 of a.bin fails, so that its last 77 bytes are not proven.
    const found = await match({ 'a.bin': ZERO_TAIL }, torrent('t', { 'a.bin': A, 'b.bin': B }), { verify: 'full' });
    assert.deepEqual(found.files[0]?.extents.at(-1), {
      offset: 3 * PIECE,
      length: A.length - 3 * PIECE,
      source: GAP,
      sourceOffset: 0,
    });
  });

  it('lets two files share a source that verifies, and no other', async () => {
    const files = { 'p/a.bin': A, 'q/a.bin': GARBAGE };
    const same = await match(files, torrent('t', { 'm/a.bin': A, 'n/a.bin': A }), { verify: 'probe' });
    assert.deepEqual(same.from, ['p/a.bin', 'p/a.bin']);
    const swapped = await match(files, torrent('t', { 'm/a.bin': GARBAGE, 'n/a.bin': A }), { verify: 'probe' });
    assert.deepEqual(swapped.from, ['q/a.bin', 'p/a.bin']);
  });

  it('notes a spare only when it is verified, too', async () => {
    const a = torrent('a.bin', A);
    const files = { 'aa/a.bin': A, 'bb/a.bin': A };
    const full = await match(files, a, { verify: 'full' });
    assert.deepEqual(
      full.sources.map(({ path, spares }) => [path.toString().slice(full.disk.length), spares]),
      [
        ['/aa/a.bin', [1]],
        ['/bb/a.bin', []],
      ],
    );
    const damaged = Buffer.concat([A.subarray(0, -1), Buffer.from([0])]);
    const alone = await match({ 'aa/a.bin': A, 'bb/a.bin': damaged }, a, { verify: 'full' });
    assert.deepEqual(
      alone.sources.map(({ spares }) => spares),
      [[]],
    );
    const probed = await match(files, a, { verify: 'probe' });
    assert.deepEqual(
      probed.sources.map(({ spares }) => spares),
      [[]],
    );
  });

  it('hashes all of a torrent of which a probe finds all, and no more of others', async () => {
    const files = { 'a.bin': A, 'n.nfo': NFO, 'b.bin': B };
    const whole = await match(files, three, { verify: 'full-if-whole' });
    assert.deepEqual([whole.verify, whole.verifiedPieces], ['full', three.pieceCount]);
    assert.deepEqual(codes(whole), ['verified', 'verified', 'verified']);
    const long = content('long', 12 * PIECE);
    const two = torrent('two', { 'long.bin': long, 'gone.bin': B });
    const lacking = await match({ 'long.bin': long }, two, { verify: 'full-if-whole' });
    assert.deepEqual(
      [lacking.verify, statuses(lacking), codes(lacking)],
      ['probe', ['mapped', 'missing'], ['probed', 'no-candidate']],
    );
    assert.equal(lacking.verifiedPieces, 5);
    assert.deepEqual(lacking.files, (await match({ 'long.bin': long }, two, { verify: 'probe' })).files);
  });

  it('takes what a probe did not see from another copy, or makes it a gap', async () => {
    const long = content('long', 12 * PIECE);
    const damaged = Buffer.from(long);
    damaged[PIECE + 5]! ^= 1;
    const one = torrent('one', { 'long.bin': long });
    assert.equal((await match({ 'one/long.bin': damaged }, one, { verify: 'probe' })).missingBytes, 0);
    const setting = { verify: 'full-if-whole', scanModes: ['exact', 'normal'] } as const;
    const alone = await match({ 'one/long.bin': damaged }, one, setting);
    assert.deepEqual([alone.verify, statuses(alone), alone.missingBytes], ['full', ['partial'], PIECE]);
    // Also if only a mode that it had skipped finds the other copy.
    const mended = await match({ 'one/long.bin': damaged, 'other/long.bin': long }, one, setting);
    assert.deepEqual([mended.verify, statuses(mended), mended.missingBytes], ['full', ['mapped'], 0]);
    assert.deepEqual(readMatched(mended, 0), long);
    // No client works on the damaged copy as if it were the torrent.
    assert.equal(mended.original, undefined);
  });

  it('hashes nothing when told so', async () => {
    const found = await match({ 'film.mkv': GARBAGE }, film, { verify: 'none' });
    assert.deepEqual([codes(found), found.verifiedPieces], [['believed'], 0]);
  });

  it('rejects when aborted', async () => {
    const reason = new Error('enough');
    const folder = writeFiles(disk(), { 'film.mkv': A });
    await assert.rejects(run(folder, [film], { verify: 'full', signal: AbortSignal.abort(reason) }), reason);
  });

  it('tells how far hashing is', async () => {
    const folder = writeFiles(disk(), { 'aa/film.mkv': GARBAGE, 'bb/film.mkv': A });
    const progress: [number, number][] = [];
    await run(folder, [film], {
      verify: 'full',
      onProgress: ({ doneBytes, totalBytes }) => progress.push([doneBytes, totalBytes]),
    });
    assert.deepEqual(progress.at(-1), [2 * A.length, 2 * A.length]);
  });
});
