import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { openSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parseMetainfo } from '../../../src/metainfo/parse.ts';
import { loadDigestPair } from '../../../src/native/digest-pair.ts';
import { sharedReadMemory } from '../../../src/native/read-memory.ts';
import type { StepAnswer } from '../../../src/vfs/proving/messages.ts';
import { type IncomingPiece, sha1OfTwo } from '../../../src/vfs/proving/piece-pair.ts';
import { HashThreads } from '../../../src/vfs/proving/threads.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { makeTorrent } from '../../harness/make-torrent.ts';
import { content } from './library.ts';

const PIECE = 65_536;

/** Comes in by `chunk` bytes. */
function incoming(bytes: Buffer, chunk: number): IncomingPiece {
  let filled = 0;
  return {
    bytes: () => bytes.subarray(0, filled),
    read() {
      if (filled === bytes.length) return false;
      filled = Math.min(bytes.length, filled + chunk);
      return true;
    },
  };
}

describe('two pieces at once', () => {
  it('have the digests that each has alone, whatever their lengths and however they come in', (t) => {
    const pair = loadDigestPair('sha1');
    if (pair === undefined) return t.skip('this Node has no such function');
    const lengths = [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000, 4096, 5000];
    for (const first of lengths) {
      for (const second of lengths) {
        for (const chunk of [1000, 64]) {
          const pieces = [content(1, first), content(2, second)] as const;
          const digests = sha1OfTwo(pair, [incoming(pieces[0], chunk), incoming(pieces[1], 77)]);
          for (const [i, digest] of digests.entries()) {
            const alone = createHash('sha1').update(pieces[i]!).digest();
            assert.ok(digest.equals(alone), `${first} and ${second} bytes by ${chunk}, digest ${i}`);
          }
        }
      }
    }
  });

  it('are judged by a thread each for itself: right, wrong, and cut off', async () => {
    const bytes = content(3, 5 * PIECE + 100);
    const { raw, infoHash } = makeTorrent({ name: 'film', content: bytes, pieceLength: PIECE });
    parseMetainfo(raw);
    const path = join(temporaryFolder('piece-pair'), 'film');
    const damaged = Buffer.from(bytes);
    damaged[PIECE + 7] = damaged[PIECE + 7]! ^ 1;
    writeFileSync(path, damaged);
    // The last piece is shorter, and half of it is away.
    truncateSync(path, 5 * PIECE + 50);
    const fd = openSync(path, 'r');
    const threads = new HashThreads(() => {});
    const hash = async (piece: number): Promise<StepAnswer> => {
      const length = Math.min(PIECE, bytes.length - piece * PIECE);
      const hashing = { torrent: infoHash, metainfo: () => raw, piece, length, buffer: sharedReadMemory(length) };
      const [session] = await threads.begin([hashing], { device: 1, awaited: false });
      assert.ok(session);
      try {
        return await session.step([{ fd, offset: piece * PIECE, length }], true);
      } finally {
        await session.end();
      }
    };
    try {
      // The second time the threads have the torrent, and hash two at a time.
      for (let round = 0; round < 2; round++) {
        const answers = await Promise.all([0, 1, 5, 2, 3, 4].map(async (piece) => await hash(piece)));
        assert.deepEqual(
          answers.map(({ agrees, failed }) => failed?.isEnd ?? agrees),
          [true, false, true, true, true, true],
        );
        assert.deepEqual(
          answers.map(({ failed }) => failed !== undefined),
          [false, false, true, false, false, false],
        );
      }
    } finally {
      threads.close();
    }
  });
});
