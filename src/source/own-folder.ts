/**
 * The folder that this program has on disks of the user: what would be lost is kept in it (`rescue/`). Scans, watches and
 * searches leave it out.
 */
import { isAtOrBelow } from '../native/mountinfo.ts';

/** Its name, in the topmost folder of a file system on a disk. */
export const OWN_FOLDER = '.autotorrent';

/** The folder in it that `rebuild` reads: what was kept for a state that was lost. */
export const FOUND_FOLDER = 'found';

const IN_OWN_FOLDER = Buffer.from(`/${OWN_FOLDER}/`);

/** The folder of ours in which a path lies. Undefined: it lies in none. */
export function ownFolderIn(path: Buffer): Buffer | undefined {
  const at = path.indexOf(IN_OWN_FOLDER);
  return at < 0 ? undefined : path.subarray(0, at + IN_OWN_FOLDER.length - 1);
}

/** Tells if a path lies in a folder of ours that is left out. */
export function isLeftOut(path: Buffer): boolean {
  const at = path.indexOf(IN_OWN_FOLDER);
  if (at < 0) return path.subarray(path.lastIndexOf(0x2f) + 1).equals(IN_OWN_FOLDER.subarray(1, -1));
  const found = Buffer.concat([path.subarray(0, at), IN_OWN_FOLDER, Buffer.from(FOUND_FOLDER)]);
  return !isAtOrBelow(path, found);
}
