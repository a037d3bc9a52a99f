/**
 * The SHA-1 of two pieces at once, in one thread, while their bytes come in: the processor digests two streams in little more
 * than the time of one (`native/digest-pair.ts`).
 */
import { BLOCK_BYTES, type DigestPair, type Lane } from '../../native/digest-pair.ts';

/** Bytes of the message length at the end of SHA-1's padding. */
const LENGTH_BYTES = 8;

/** A piece in memory of its own. */
export interface IncomingPiece {
  /** The bytes that came in so far. */
  readonly bytes: () => Buffer;
  /** Reads on. False once there is no more: it is whole, or could not be read. */
  readonly read: () => boolean;
}

/** Reads and hashes two pieces. Gives the digests of what came in. */
export function sha1OfTwo(pair: DigestPair, pieces: readonly [IncomingPiece, IncomingPiece]): [Buffer, Buffer] {
  const lanes = [new PieceLane(pair, 0, pieces[0]), new PieceLane(pair, 1, pieces[1])] as const;
  for (;;) {
    const [first, second] = [lanes[0].waiting(), lanes[1].waiting()];
    const blocks = Math.min(first ?? Number.MAX_SAFE_INTEGER, second ?? Number.MAX_SAFE_INTEGER);
    if (blocks === Number.MAX_SAFE_INTEGER) break;
    pair.update(blocks, lanes[0].take(blocks), lanes[1].take(blocks));
  }
  return [lanes[0].digest(), lanes[1].digest()];
}

class PieceLane {
  readonly #pair: DigestPair;
  readonly #lane: Lane;
  readonly #piece: IncomingPiece;
  #hashed = 0;
  #ended = false;

  constructor(pair: DigestPair, lane: Lane, piece: IncomingPiece) {
    this.#pair = pair;
    this.#lane = lane;
    this.#piece = piece;
    pair.begin(lane);
  }

  /** The number of whole blocks to hash next, at least one. Undefined at the end. */
  waiting(): number | undefined {
    for (;;) {
      const blocks = Math.floor((this.#piece.bytes().length - this.#hashed) / BLOCK_BYTES);
      if (blocks > 0) return blocks;
      if (this.#ended) return undefined;
      this.#ended = !this.#piece.read();
    }
  }

  /** Gives the next blocks to be hashed. Undefined at the end. */
  take(blocks: number): Buffer | undefined {
    if (this.waiting() === undefined) return undefined;
    const from = this.#hashed;
    this.#hashed += blocks * BLOCK_BYTES;
    return this.#piece.bytes().subarray(from, this.#hashed);
  }

  digest(): Buffer {
    const bytes = this.#piece.bytes();
    const rest = bytes.subarray(this.#hashed);
    const tail = Buffer.alloc(rest.length + 1 + LENGTH_BYTES <= BLOCK_BYTES ? BLOCK_BYTES : 2 * BLOCK_BYTES);
    rest.copy(tail);
    tail[rest.length] = 0x80;
    tail.writeBigUInt64BE(BigInt(bytes.length) * 8n, tail.length - LENGTH_BYTES);
    const lanes: [Buffer | undefined, Buffer | undefined] = this.#lane === 0 ? [tail, undefined] : [undefined, tail];
    this.#pair.update(tail.length / BLOCK_BYTES, ...lanes);
    return Buffer.from(this.#pair.digest(this.#lane), 'latin1');
  }
}
