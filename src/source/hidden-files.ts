/**
 * Names that stand in for files which were deleted, or replaced, while somebody has them open. libfuse (`.fuse_hidden…`, hard_remove off)
 * and NFS clients (`.nfs…`) rename such a file, and delete it when it is closed: it is no place to which a file has gone.
 */

const HIDDEN = /^\.(?:fuse_hidden|nfs)[0-9a-f]{16,}$/i;

/** Tells by the last part of a path if a file is only kept for who has it open. */
export function isHiddenForOpen(path: Buffer): boolean {
  return HIDDEN.test(path.toString('latin1', path.lastIndexOf(0x2f) + 1));
}
