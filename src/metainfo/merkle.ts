/**
 * Merkle trees of BEP 52: SHA-256, with leaves of 16 KiB blocks (the last block may be shorter), padded to a power of two
 * with leaves of zeros. All trees of one file agree: a piece's root is a node of its file's tree.
 */
import crypto from 'node:crypto';

export const BLOCK_BYTES = 16384;
export const DIGEST_BYTES = 32;

/** One call for each digest (Node 20.12) costs a third of an object, and a string of bytes costs less than a Buffer. */
const oneShot = (crypto as Partial<Pick<typeof crypto, 'hash'>>).hash;

/** The digest as a string of bytes ("latin1"). */
export const sha256: (data: Buffer) => string =
  oneShot === undefined
    ? (data) => crypto.createHash('sha256').update(data).digest('binary')
    : (data) => oneShot('sha256', data, 'binary');

/** Counts the leaves of the tree of a file of `length` bytes: a power of two. */
export function leavesOf(length: number): number {
  let leaves = 1;
  while (leaves * BLOCK_BYTES < length) leaves *= 2;
  return leaves;
}

/** Takes the nodes of one level of a tree from the left, and keeps one node for each level: memory does not grow. */
export class MerkleTree {
  /** For each level, starting with the one that is fed: a left node that waits for its right one, side by side. */
  readonly #pairs: Buffer[] = [];
  readonly #waiting: boolean[] = [];
  readonly #height: number;
  #pad: Buffer;
  #root: Buffer | undefined;

  /**
   * The fed level has `width` nodes, a power of two; each stands for `leaves` leaves, a power of two. Nodes that are not fed
   * are padding.
   */
  constructor(width: number, leaves = 1) {
    this.#height = Math.log2(width);
    this.#pad = padOf(leaves);
  }

  /** Adds a digest, as a string of bytes. @throws RangeError if the level is full */
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

  /** Gives the root. Nothing can be fed afterwards. */
  root(): Buffer {
    // From below: the result of a padded level may fill the level above it.
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
 * Computes the pieces root of a file from its piece layer `layer` (digests end to end, at least one).
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

/** Computes the root of a tree of `leaves` leaves of zeros. */
function padOf(leaves: number): Buffer {
  let pad: Buffer = Buffer.alloc(DIGEST_BYTES);
  for (let span = 1; span < leaves; span *= 2) pad = above(pad);
  return pad;
}

function above(pad: Buffer): Buffer {
  return Buffer.from(sha256(Buffer.concat([pad, pad])), 'latin1');
}
