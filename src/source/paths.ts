/** Paths as bytes. */

const SLASH = 0x2f;
const DOT = 0x2e;

/**
 * Tells if a path is absolute and names each folder on its way once: no empty component, no `.`, no `..`, no zero byte, no
 * slash at its end.
 */
export function isNormalPath(path: Buffer): boolean {
  if (path[0] !== SLASH) return false;
  if (path.length === 1) return true;
  let start = 1;
  for (let i = 1; i <= path.length; i++) {
    const byte = i === path.length ? SLASH : path[i];
    if (byte === 0) return false;
    if (byte !== SLASH) continue;
    const length = i - start;
    const dots = path[start] === DOT && (length === 1 || (length === 2 && path[start + 1] === DOT));
    if (length === 0 || dots) return false;
    start = i + 1;
  }
  return true;
}

/** Moves a path from a folder at or above it to another: its name below that. All are normal. */
export function rebased(path: Buffer, from: Buffer, to: Buffer): Buffer {
  if (from.equals(to)) return path;
  const below = path.subarray(from.length === 1 ? 1 : from.length + 1);
  if (below.length === 0) return to;
  return Buffer.concat(to.length === 1 ? [to, below] : [to, Buffer.of(SLASH), below]);
}

/** The folder of a normal path. */
export function folderOf(path: Buffer): Buffer {
  return path.subarray(0, Math.max(1, path.lastIndexOf(SLASH)));
}
