/** Merkle trees of BEP 52: SHA-256, leaves of 16 KiB blocks, padded to a power of two with leaves of zeros. */
import { createHash } from 'node:crypto';

export const BLOCK_BYTES = 16384;
export const DIGEST_BYTES = 32;

/**
 * The pieces root of a file whose piece layer (digests end to end, at least one) is `layer`.
 * `pieceLength` is a power of two of at least `BLOCK_BYTES`.
 */
export function rootOfLayer(layer: Buffer, pieceLength: number): Buffer {
  let pad: Buffer = Buffer.alloc(DIGEST_BYTES);
  for (let span = BLOCK_BYTES; span < pieceLength; span *= 2) pad = digestOf(Buffer.concat([pad, pad]));
  let count = layer.length / DIGEST_BYTES;
  const nodes = Buffer.alloc((count + 1) * DIGEST_BYTES);
  layer.copy(nodes);
  while (count > 1) {
    if (count % 2 === 1) pad.copy(nodes, count++ * DIGEST_BYTES);
    count /= 2;
    for (let i = 0; i < count; i++) {
      digestOf(nodes.subarray(i * 2 * DIGEST_BYTES, (i + 1) * 2 * DIGEST_BYTES)).copy(nodes, i * DIGEST_BYTES);
    }
    pad = digestOf(Buffer.concat([pad, pad]));
  }
  return nodes.subarray(0, DIGEST_BYTES);
}

function digestOf(data: Buffer): Buffer {
  return createHash('sha256').update(data).digest();
}
