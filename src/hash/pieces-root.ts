/** The `pieces root` (BEP 52) of whole files: by it a file of a v2 or hybrid torrent is known whatever its name. */
import { BLOCK_BYTES, leavesOf, rootOfLayer } from '../metainfo/merkle.ts';
import type { FileIdentity, HashOptions, HashPool, HashResult, MerkleJob } from './hash-pool.ts';

export interface WholeFile {
  readonly path: Buffer;
  /** `size` says how much is hashed; a file without bytes has no root. */
  readonly identity: FileIdentity;
}

/** Files are hashed in parts, so that all threads take part in a large one. */
const PART_BYTES = 4 * 1024 * 1024;

/**
 * A root of 32 bytes a file, in their order; a file that fails in one part has failed. Rejects as `HashPool.hash` does.
 * `pieceLength` (a power of two from 16 KiB on) makes the parts pieces of a torrent, which a cache may know.
 */
export async function piecesRootsOf(
  pool: HashPool,
  files: readonly WholeFile[],
  options: HashOptions & { readonly pieceLength?: number } = {},
): Promise<HashResult[]> {
  const { pieceLength = PART_BYTES, ...rest } = options;
  const parts = files.map((file) => partsOf(file, pieceLength));
  const results = await pool.hash(parts.flat(), rest);
  let next = 0;
  return parts.map(({ length }) => {
    const mine = results.slice(next, next + length);
    next += length;
    return joined(mine, pieceLength);
  });
}

function partsOf({ path, identity }: WholeFile, partBytes: number): MerkleJob[] {
  const { size } = identity;
  const leaves = Math.min(leavesOf(size), partBytes / BLOCK_BYTES);
  const jobs: MerkleJob[] = [];
  for (let offset = 0; offset < size; offset += partBytes) {
    jobs.push({ segments: [{ path, identity, offset, length: Math.min(partBytes, size - offset) }], leaves });
  }
  return jobs;
}

function joined(parts: readonly HashResult[], partBytes: number): HashResult {
  const digests: Buffer[] = [];
  for (const part of parts) {
    if ('failed' in part) return part;
    digests.push(part.digest);
  }
  const [first] = digests;
  if (first === undefined) return { failed: 'unreadable', message: 'a file without bytes has no pieces root' };
  // The only part has as many leaves as the file needs, not as many as a part may have.
  return { digest: digests.length === 1 ? first : rootOfLayer(Buffer.concat(digests), partBytes) };
}
