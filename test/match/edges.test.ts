/** The first and last bytes of a file whose pieces cannot be hashed, since the files beside it are missing. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { countBits } from '../../src/extent/bitfield.ts';
import type { MatchMode } from '../../src/match/match.ts';
import { edited } from './edits.ts';
import { content, type Files, PIECE, torrent } from './fixtures.ts';
import { matchBench, readMatched } from './matching.ts';

const BEFORE = content('before', 60);
const FILE = content('file', 4 * PIECE);
const BEHIND = content('behind', 200);
/** Its pieces 0 and 4 are shared with what is missing. */
const between = torrent('t', { 'before.bin': BEFORE, 'file.bin': FILE, 'behind.bin': BEHIND });
const GONE = BEFORE.length + BEHIND.length;
const HEAD = PIECE - BEFORE.length;
const TAIL = BEFORE.length;

const LONGER = edited(FILE, [['insert', 0, 99]]);
const DAMAGED = edited(FILE, [['flip', 2 * PIECE, 9]]);
const BAD_HEAD = edited(FILE, [['flip', HEAD + 5, 9]]);

describe('edges of a file between missing ones', () => {
  const { match } = matchBench();

  /** The last: bytes of the file that are missing, and pieces that are proven. */
  const cases: readonly [string, Files, readonly (readonly MatchMode[])[], number, number][] = [
    [
      'are kept of a damaged copy, whatever modes look for more of it',
      { 'file.bin': DAMAGED },
      [
        ['normal'],
        ['normal', 'hash_name'],
        ['normal', 'hash_size'],
        ['normal', 'hash_slow'],
        ['hash_size'],
        ['hash_slow'],
      ],
      PIECE,
      2,
    ],
    [
      'are kept of two damaged copies',
      { 'x/file.bin': DAMAGED, 'y/other.bin': edited(FILE, [['zero', HEAD + 2 * PIECE, 9]]) },
      [['hash_size'], ['normal', 'hash_size'], ['hash_slow']],
      0,
      3,
    ],
    ['are not taken from a longer copy', { 'file.bin': LONGER }, [['hash_name'], ['hash_slow']], HEAD + TAIL, 3],
    [
      'are taken from a copy of the right size beside a longer one',
      { 'file.bin': LONGER, 'other.bin': DAMAGED },
      [['hash_name', 'hash_size'], ['hash_name', 'hash_slow'], ['hash_slow']],
      0,
      3,
    ],
    [
      'are not taken from one that differs in the piece beside them',
      { 'file.bin': LONGER, 'other.bin': BAD_HEAD },
      [['hash_name', 'hash_size']],
      HEAD,
      3,
    ],
  ];
  for (const [name, files, sets, lacking, proven] of cases) {
    it(name, async () => {
      for (const scanModes of sets) {
        const found = await match(files, between, { scanModes, verify: 'full' });
        assert.equal(found.missingBytes, GONE + lacking, `${scanModes.join()}: ${found.reason}`);
        // Nothing but these edges is mapped without proof.
        assert.equal(countBits(found.verified), proven, scanModes.join());
        if (lacking > 0) continue;
        assert.ok(readMatched(found, 1).equals(FILE));
        const file = found.files[1];
        assert.equal(file?.code, 'probed');
        assert.match(file.reason, /^3 of its 5 pieces were hashed and agree/);
      }
    });
  }

  it('are hashed where a source ends too early and another has them', async () => {
    const two = torrent('t', { 'file.bin': FILE.subarray(0, 4 * PIECE - 77), 'next.bin': BEHIND });
    const files = {
      'file.bin': FILE.subarray(0, 4 * PIECE - 90),
      'other.bin': FILE.subarray(0, 4 * PIECE - 77),
      'next.bin': BEHIND,
    };
    const found = await match(files, two, { scanModes: ['hash_name', 'hash_size'], verify: 'full' });
    assert.deepEqual([found.missingBytes, found.verifiedPieces], [0, two.pieceCount]);
  });
});
