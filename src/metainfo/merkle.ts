/**
 * Merkle trees of BEP 52: SHA-256, leaves of 16 KiB blocks (the last one as short as it is), padded to a power of two
 * with leaves of zeros. All trees of one file agree: a piece's root is a node of its file's tree.
 */
import crypto from 'node:crypto';

export const BLOCK_BYTES = 16384;
export const DIGEST_BYTES = 32;

/** One call a digest (Node 20.12) costs a third of an object a digest, and a string of bytes less than a Buffer. */
const oneShot = (crypto as Partial<Pick<typeof crypto, 'hash'>>).hash;

/** The digest as a string of bytes ("latin1"). */
export const sha256: (data: Buffer) => string =
  oneShot === undefined
    ? (data) => crypto.createHash('sha256').update(data).digest('binary')
    : (data) => oneShot('sha256', data, 'binary');

/** How many leaves the tree of a file of `length` bytes has: a power of two. */
export function leavesOf(length: number): number {
  let leaves = 1;
  while (leaves * BLOCK_BYTES < length) leaves *= 2;
  return leaves;
}

/** A tree that is fed its nodes of one level from the left, and keeps one node a level: memory does not grow. */
export class MerkleTree {
  /** By level from the one that is fed: a left node waiting for its right one, side by side. */
  readonly #pairs: Buffer[] = [];
  readonly #waiting: boolean[] = [];
  readonly #height: number;
  #pad: Buffer;
  #root: Buffer | undefined;

  /**
   * `width` nodes, a power of two, lie on the level that is fed; each stands for `leaves` leaves, a power of two.
   * Those that are not fed are padding.
   */
  constructor(width: number, leaves = 1) {
    this.#height = Math.log2(width);
    this.#pad = padOf(leaves);
  }

  /** A digest as a string of bytes. @throws RangeError when the level is full */
  push(digest: string): void {
    if (this.#root !== undefined) throw new RangeError('a merkle tree was given more than it has room for');
    let node = digest;
    for (let level = 0; level < this.#height; level++) {
      const pair = (this.#pairs[level] ??= Buffer.alloc(2 * DIGEST_BYTES));
      if (this.#waiting[level] !== true) {
        pair.write(node, 0, 'latin1');
        this.#waiting[level] = true;
        return;
      }
      pair.write(node, DIGEST_BYTES, 'latin1');
      this.#waiting[level] = false;
      node = sha256(pair);
    }
    this.#root = Buffer.from(node, 'latin1');
  }

  /** Nothing can be fed afterwards. */
  root(): Buffer {
    // From below: what a padded level gives up may fill the one above it.
    let carried: Buffer | undefined;
    for (let level = 0; level < this.#height && this.#root === undefined; level++) {
      const pair = (this.#pairs[level] ??= Buffer.alloc(2 * DIGEST_BYTES));
      if (this.#waiting[level] === true) {
        (carried ?? this.#pad).copy(pair, DIGEST_BYTES);
        carried = Buffer.from(sha256(pair), 'latin1');
      } else if (carried !== undefined) {
        carried.copy(pair, 0);
        this.#pad.copy(pair, DIGEST_BYTES);
        carried = Buffer.from(sha256(pair), 'latin1');
      }
      this.#pad = above(this.#pad);
    }
    this.#root ??= carried ?? this.#pad;
    return this.#root;
  }
}

/**
 * The pieces root of a file whose piece layer (digests end to end, at least one) is `layer`.
 * `pieceLength` is a power of two of at least `BLOCK_BYTES`.
 */
export function rootOfLayer(layer: Buffer, pieceLength: number): Buffer {
  const count = layer.length / DIGEST_BYTES;
  let width = 1;
  while (width < count) width *= 2;
  const tree = new MerkleTree(width, pieceLength / BLOCK_BYTES);
  for (let i = 0; i < count; i++) tree.push(layer.toString('latin1', i * DIGEST_BYTES, (i + 1) * DIGEST_BYTES));
  return tree.root();
}

/** The root of a tree of `leaves` leaves of zeros. */
function padOf(leaves: number): Buffer {
  let pad: Buffer = Buffer.alloc(DIGEST_BYTES);
  for (let span = 1; span < leaves; span *= 2) pad = above(pad);
  return pad;
}

function above(pad: Buffer): Buffer {
  return Buffer.from(sha256(Buffer.concat([pad, pad])), 'latin1');
}
