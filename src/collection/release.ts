/**
 * Unsplitable releases: folders whose files belong together (a scene release, an album with its .sfv, a disc). Pure, and
 * the same for the collection and for a torrent's own tree.
 *
 * A folder is *marked* by the files directly in it; the release's *root* is the nearest folder at or above a marked one
 * that is not a mere part (`CD1`, `Sample`, `VIDEO_TS`, …). Releases nest: a file belongs to the nearest root above it.
 */

/** Folders of a release beside what it is about. */
const SIDECAR_FOLDER = 'samples?|proofs?|(?:vob)?sub(?:title)?s?|certificate';
const PART = new RegExp(`^(?:cd[1-9]|${SIDECAR_FOLDER}|bdmv|backup|disc[0-9]+|video_ts)$`, 'i');
const IN_SIDECARS = new RegExp(`^(?:${SIDECAR_FOLDER})$`, 'i');
const SIDECAR_FILE = /\.(?:nfo|sfv|diz|txt|jpe?g)$/i;
const SAMPLE = /(?:^sample[ ._-].*|[ ._-]sample)\.(?:avi|mkv|mp4|vob|wmv|m2?ts)$/i;

/**
 * Tells if a file may be missing from a copy of a release: nfo, sfv, diz, txt, jpg, samples, proofs, subs, certificates.
 * `path` is its path below the release's folder.
 */
export function isSidecar(path: readonly string[]): boolean {
  const name = path.at(-1) ?? '';
  if (SIDECAR_FILE.test(name) || SAMPLE.test(name)) return true;
  return path.slice(0, -1).some((folder) => IN_SIDECARS.test(folder));
}

/** Tells if a folder of this name is a part of the release above it. `Discovery.Channel.X` is no disc. */
export function isReleasePart(folderName: string): boolean {
  return folderName.length <= 12 && PART.test(folderName);
}

const RAR = 1;
const SFV = 2;
const R00 = 4;
const MP3 = 8;
const VOB = 16;
const IFO = 32;
const BDMV = 64;
const BY_EXTENSION: ReadonlyMap<string, number> = new Map([
  ['.rar', RAR],
  ['.sfv', SFV],
  ['.r00', R00],
  ['.mp3', MP3],
  ['.vob', VOB],
  ['.ifo', IFO],
]);
const MARKS = [RAR | SFV, RAR | R00, MP3 | SFV, VOB | IFO, BDMV];

/** Tells if files of these names, directly in one folder, make it a release or a part of one. */
export function isReleaseFolder(fileNames: Iterable<string>): boolean {
  let seen = 0;
  for (const name of fileNames) {
    if (name.charCodeAt(name.length - 4) === 0x2e) seen |= BY_EXTENSION.get(name.slice(-4).toLowerCase()) ?? 0;
    else if (name.length === 16 && name.toLowerCase() === 'movieobject.bdmv') seen |= BDMV;
  }
  return MARKS.some((mark) => (seen & mark) === mark);
}

/** A tree of folders, by number; a parent's number is smaller than its children's, and -1 above the topmost. */
export interface ReleaseTree {
  readonly count: number;
  parent(folder: number): number;
  /** `isReleaseFolder` of its files. */
  marked(folder: number): boolean;
  /** `isReleasePart` of its name. */
  part(folder: number): boolean;
  /** A disk itself is no release, whatever lies stray in it. */
  disk(folder: number): boolean;
}

/** Finds the root of each folder's release, which may be the folder itself; -1 if it is in none. */
export function releaseRoots(tree: ReleaseTree): Int32Array {
  const isRoot = new Uint8Array(tree.count);
  for (let folder = 0; folder < tree.count; folder++) {
    if (!tree.marked(folder) || tree.disk(folder)) continue;
    let root = folder;
    while (tree.part(root)) {
      const above = tree.parent(root);
      if (above < 0 || tree.disk(above)) break;
      root = above;
    }
    isRoot[root] = 1;
  }
  const roots = new Int32Array(tree.count).fill(-1);
  for (let folder = 0; folder < tree.count; folder++) {
    const above = tree.parent(folder);
    roots[folder] = isRoot[folder] === 1 ? folder : above < 0 ? -1 : (roots[above] ?? -1);
  }
  return roots;
}
