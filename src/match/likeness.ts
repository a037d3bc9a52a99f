/**
 * Ranks several files of one name and size by how likely each is a torrent's file.
 *
 * It prefers, in this order: more of the torrent's folders above the candidate, counted from the file upwards; more bytes of
 * this torrent in the same place; more words of the torrent's name in its folders; the same bytes in its name; the path that
 * sorts first, so that equal runs decide equally.
 */
import type { CollectionFile } from '../collection/index.ts';
import { normaliseName } from '../collection/names.ts';
import type { FileTask } from './torrent-task.ts';

/** Candidates kept for one file: each may cost hashing. */
const MAX_RANKED = 32;
/** More candidates of one name and size say nothing about where a torrent lies. */
const MAX_TELLING = 64;

/** Files of one torrent with the same name and size, and the files of the collection with that name and size. */
export interface Rivals {
  readonly files: readonly FileTask[];
  readonly candidates: readonly CollectionFile[];
}

/** Remembers the folders of candidates, normalised, the nearest first, for a whole run: many candidates share a folder. */
export class FolderNames {
  readonly #byFolder = new Map<number, readonly string[]>();
  /** By the list of a file's folders, which files in one folder share, and by the candidate's folder. */
  readonly #places = new WeakMap<readonly string[], Map<number, string>>();

  of(file: CollectionFile): readonly string[] {
    let names = this.#byFolder.get(file.folder);
    if (names === undefined) {
      names = components(file.path).slice(0, -1).map(normaliseName).toReversed();
      this.#byFolder.set(file.folder, names);
    }
    return names;
  }

  /** Finds where the torrent would lie if `candidate` were `file`: the path above the folders that agree. */
  placeOf(file: FileTask, candidate: CollectionFile): string {
    let places = this.#places.get(file.folders);
    if (places === undefined) this.#places.set(file.folders, (places = new Map()));
    let place = places.get(candidate.folder);
    if (place === undefined) {
      const above = this.of(candidate);
      const depth = file.torrent.metainfo.multi ? file.folders.length - 1 : file.folders.length;
      place = above.slice(Math.min(agreeing(file.folders, above), depth)).join('/');
      places.set(candidate.folder, place);
    }
    return place;
  }
}

/** Splits an absolute path into its components, as bytes. */
export function components(path: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let from = 1; from <= path.length; ) {
    const slash = path.indexOf(0x2f, from);
    const to = slash === -1 ? path.length : slash;
    if (to > from) parts.push(path.subarray(from, to));
    from = to + 1;
  }
  return parts;
}

/** Gives a file its likeliest candidate, and the others in order, ranked when they are asked for. */
type Give = (file: FileTask, first: CollectionFile | undefined, later: () => readonly CollectionFile[]) => void;

/**
 * Ranks the candidates of each file of one torrent, the likeliest first. As long as there are enough, no two files have the
 * same first candidate: the file that resembles it most gets it.
 */
export function rank(groups: readonly Rivals[], folders: FolderNames, give: Give): void {
  const places = new Map<string, number>();
  const telling = new Set<number>();
  for (const { files, candidates } of groups) {
    if (candidates.length > MAX_TELLING) continue;
    for (const { folder } of candidates) telling.add(folder);
    for (const file of files) {
      for (const place of new Set(candidates.map((candidate) => folders.placeOf(file, candidate)))) {
        places.set(place, (places.get(place) ?? 0) + file.file.length);
      }
    }
  }
  for (const { files, candidates } of groups) {
    if (candidates.length < 2) {
      for (const file of files) give(file, candidates[0], () => []);
      continue;
    }
    // Thousands of files may have the name and size of a `poster.jpg`: one of them lies where the torrent's other files do.
    const beside = candidates.length > MAX_TELLING ? candidates.filter(({ folder }) => telling.has(folder)) : [];
    rankRivals({ files, candidates: beside.length >= files.length ? beside : candidates }, places, folders, give);
  }
}

function agreeing(wanted: readonly string[], above: readonly string[]): number {
  let depth = 0;
  while (depth < wanted.length && wanted[depth] === above[depth]) depth++;
  return depth;
}

function rankRivals(
  { files, candidates }: Rivals,
  places: ReadonlyMap<string, number>,
  folders: FolderNames,
  give: Give,
): void {
  const [first] = files;
  if (first === undefined) return;
  const inOrder = byPlaceAndWords(first, candidates, places, folders);

  // A chain of folder names is the key, so that files with many rivals need not be compared with each of them.
  const chains = new Map<string, CollectionFile[]>();
  const depths = Math.max(...files.map((file) => file.folders.length));
  for (const candidate of inOrder) {
    const above = folders.of(candidate);
    for (let depth = Math.min(depths, above.length); depth >= 0; depth--) {
      const chain = chainOf(above, depth);
      const same = chains.get(chain);
      if (same === undefined) chains.set(chain, [candidate]);
      else same.push(candidate);
    }
  }

  const best = new Map<FileTask, CollectionFile>();
  const free = new Set(candidates);
  for (let depth = depths; depth >= 0; depth--) {
    for (const file of files) {
      if (best.has(file) || depth > file.folders.length) continue;
      const found = takeFree(chains.get(chainOf(file.folders, depth)) ?? [], free);
      if (found === undefined) continue;
      best.set(file, found);
      free.delete(found);
    }
  }
  for (const file of files) {
    const first = best.get(file) ?? mostAgreeing(file, inOrder, folders);
    give(file, first, () => listAfter(file, first, inOrder, folders));
  }
}

/** Finds the first of those with the most agreeing folders. */
function mostAgreeing(
  { folders: wanted }: FileTask,
  inOrder: readonly CollectionFile[],
  folders: FolderNames,
): CollectionFile | undefined {
  let found: CollectionFile | undefined;
  let most = -1;
  for (const candidate of fewOf(inOrder)) {
    const depth = agreeing(wanted, folders.of(candidate));
    if (depth > most) [found, most] = [candidate, depth];
  }
  return found;
}

/** Takes the first free candidate. One that is taken never becomes free, so dropping it keeps many rivals linear. */
function takeFree(list: CollectionFile[], free: ReadonlySet<CollectionFile>): CollectionFile | undefined {
  let taken = 0;
  while (taken < list.length && !free.has(list[taken]!)) taken++;
  list.splice(0, taken);
  return list[0];
}

/** Orders the candidates after a file's best one by agreeing folders. */
function listAfter(
  file: FileTask,
  first: CollectionFile | undefined,
  inOrder: readonly CollectionFile[],
  folders: FolderNames,
): CollectionFile[] {
  return fewOf(inOrder)
    .filter((candidate) => candidate !== first)
    .map((candidate, order) => ({ candidate, order, depth: agreeing(file.folders, folders.of(candidate)) }))
    .toSorted((a, b) => b.depth - a.depth || a.order - b.order)
    .slice(0, MAX_RANKED - 1)
    .map(({ candidate }) => candidate);
}

/** Leaves out most of thousands of candidates: each of thousands of files would be compared with each of them. */
function fewOf(inOrder: readonly CollectionFile[]): readonly CollectionFile[] {
  return inOrder.length > MAX_RANKED * 8 ? inOrder.slice(0, MAX_RANKED) : inOrder;
}

function byPlaceAndWords(
  file: FileTask,
  candidates: readonly CollectionFile[],
  places: ReadonlyMap<string, number>,
  folders: FolderNames,
): CollectionFile[] {
  const words = new Set(normaliseName(file.torrent.metainfo.name).split(WORD_END));
  const wanted = file.file.rawPath.at(-1);
  // Counting words is expensive, and few candidates lie in equally good places.
  const counts = new Map<CollectionFile, number>();
  const wordsOf = (candidate: CollectionFile): number => {
    const count = counts.get(candidate) ?? countWords(folders.of(candidate), words);
    counts.set(candidate, count);
    return count;
  };
  return candidates
    .map((candidate) => ({
      candidate,
      bytes: places.get(folders.placeOf(file, candidate)) ?? 0,
      exact: wanted !== undefined && candidate.name.equals(wanted) ? 1 : 0,
    }))
    .toSorted(
      (a, b) =>
        b.bytes - a.bytes ||
        wordsOf(b.candidate) - wordsOf(a.candidate) ||
        b.exact - a.exact ||
        Buffer.compare(a.candidate.path, b.candidate.path),
    )
    .map(({ candidate }) => candidate);
}

const WORD_END = /[^\p{L}\p{N}]+/u;

/** Counts the words of the torrent's name in a candidate's two nearest folders. */
function countWords(above: readonly string[], words: ReadonlySet<string>): number {
  let count = 0;
  const seen = new Set(above.slice(0, 2).flatMap((name) => name.split(WORD_END)));
  for (const word of seen) if (words.has(word)) count++;
  return count;
}

function chainOf(names: readonly string[], depth: number): string {
  return names.slice(0, depth).join('/');
}
