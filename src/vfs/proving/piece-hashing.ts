/** Hashes one piece while its bytes come in, by all the hashes that the torrent has of it. */
import { createHash, type Hash } from 'node:crypto';
import { BLOCK_BYTES, MerkleTree, sha256 } from '../../metainfo/merkle.ts';
import type { PieceHash } from '../../metainfo/piece-hashes.ts';

/** Fits the second-level cache: bytes are hashed soon after they were read. A multiple of `BLOCK_BYTES`. */
export const CHUNK_BYTES = 256 * 1024;

interface Tree {
  readonly tree: MerkleTree;
  readonly digest: Buffer;
  /** Bytes that it still takes: a pad that follows a file in a hybrid torrent is no part of it. */
  left: number;
}

export class PieceHashing {
  readonly #length: number;
  readonly #buffer: Buffer;
  /** The buffer takes the whole piece, not only a chunk. */
  readonly #keeps: boolean;
  readonly #sha1: { readonly hash: Hash; readonly digest: Buffer } | undefined;
  readonly #tree: Tree | undefined;
  #filled = 0;
  #hashed = 0;
  /** Somebody else computes the SHA-1. */
  #isLeft = false;

  /** `buffer` takes the piece, or `CHUNK_BYTES` of it at a time. `length`: bytes of the piece. */
  constructor(hashes: readonly PieceHash[], length: number, buffer: Buffer, keeps: boolean) {
    this.#length = length;
    this.#buffer = buffer;
    this.#keeps = keeps;
    for (const { digest, leaves, spans } of hashes) {
      if (leaves === undefined) this.#sha1 = { hash: createHash('sha1'), digest };
      else this.#tree = { tree: new MerkleTree(leaves), digest, left: spans[0]?.length ?? 0 };
    }
  }

  /** The place of the next bytes, at most `wanted` of them. Never empty before the end of the piece. */
  room(wanted: number): Buffer {
    const from = this.#keeps ? this.#filled : this.#filled - this.#hashed;
    const end = from + Math.min(wanted, this.#hashed + CHUNK_BYTES - this.#filled, this.#length - this.#filled);
    return this.#buffer.subarray(from, end);
  }

  /** Counts bytes that were put into the room. */
  took(bytes: number): void {
    this.#filled += bytes;
    const waiting = this.#filled - this.#hashed;
    if (waiting < CHUNK_BYTES && this.#filled < this.#length) return;
    const from = this.#keeps ? this.#hashed : 0;
    this.#update(this.#buffer.subarray(from, from + waiting));
    this.#hashed = this.#filled;
  }

  /** It has no hash but a SHA-1, and keeps its bytes: another may compute it (`leaveSha1`). */
  get isPlain(): boolean {
    return this.#keeps && this.#tree === undefined && this.#sha1 !== undefined && this.#filled === 0;
  }

  /** Leaves the SHA-1 to the caller. */
  leaveSha1(): void {
    this.#isLeft = true;
  }

  /** The bytes that came in, of a piece that is kept. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#filled);
  }

  #update(bytes: Buffer): void {
    if (!this.#isLeft) this.#sha1?.hash.update(bytes);
    const tree = this.#tree;
    if (tree === undefined) return;
    const own = bytes.subarray(0, Math.min(bytes.length, tree.left));
    tree.left -= own.length;
    for (let at = 0; at < own.length; at += BLOCK_BYTES) tree.tree.push(sha256(own.subarray(at, at + BLOCK_BYTES)));
  }

  /**
   * True if the whole piece came in, and every hash of it agrees. A piece without a hash agrees with nothing. `sha1`: what was
   * left to the caller.
   */
  agrees(sha1?: Buffer): boolean {
    if (this.#filled !== this.#length || (this.#sha1 === undefined && this.#tree === undefined)) return false;
    if (this.#sha1 !== undefined && !(sha1 ?? this.#sha1.hash.digest()).equals(this.#sha1.digest)) return false;
    return this.#tree === undefined || this.#tree.tree.root().equals(this.#tree.digest);
  }
}
