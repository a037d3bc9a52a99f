/** The torrents of these tests: films of 61 pieces, with bytes that nothing else has. */
import { createHash } from 'node:crypto';
import { makeTorrent } from '../harness/make-torrent.ts';
import type { HashedFiles } from '../harness/piece-reader.ts';

export const PIECE_LENGTH = 16_384;
/** The pieces of a film. The last one is shorter. */
export const PIECES = 61;

export interface Film extends HashedFiles {
  readonly name: string;
  readonly bytes: Buffer;
  readonly torrent: Buffer;
  readonly infoHash: string;
}

/** Makes film `number`. Each has a size of its own, so that neither name nor size is shared by accident. */
export function makeFilm(name: string, number: number): Film {
  const length = (PIECES - 1) * PIECE_LENGTH + 4096 + number * 16;
  return filmOf(name, randomBytesOf(name, length));
}

/** Makes a film of these bytes. */
export function filmOf(name: string, bytes: Buffer): Film {
  const { raw, infoHash } = makeTorrent({ name, content: bytes, pieceLength: PIECE_LENGTH });
  const hashes = hashesOf(bytes);
  return { name, bytes, torrent: raw, infoHash, lengths: [bytes.length], pieceLength: PIECE_LENGTH, hashes };
}

export function hashesOf(bytes: Buffer, pieceLength = PIECE_LENGTH): string[] {
  const hashes: string[] = [];
  for (let at = 0; at < bytes.length; at += pieceLength) {
    hashes.push(
      createHash('sha1')
        .update(bytes.subarray(at, at + pieceLength))
        .digest('hex'),
    );
  }
  return hashes;
}

/** Random bytes, the same for the same seed. */
export function randomBytesOf(seed: string, length: number): Buffer {
  const blocks: Buffer[] = [];
  for (let i = 0; i * 64 < length; i++) blocks.push(createHash('sha512').update(`${seed} ${i}`).digest());
  return Buffer.concat(blocks).subarray(0, length);
}
