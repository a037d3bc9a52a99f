/** Makes torrents of releases: complete ones, and ones from which the collection differs. */
import type { Random } from '../random.ts';
import { pathsOf, type Release } from './release.ts';

/**
 * `another-size`: one file is some bytes longer than the collection's. `another-root`: the torrent's folder has another
 * name. `another-spelling`: files at the top have other names. `one-lacking`: the collection lacks a file.
 */
type Variant = 'complete' | 'another-size' | 'another-root' | 'another-spelling' | 'one-lacking';

const VARIANTS: readonly Variant[] = [
  ...Array.from({ length: 6 }, () => 'complete' as const),
  'another-size',
  'another-root',
  'another-spelling',
  'one-lacking',
];

export interface TorrentOfRelease {
  readonly variant: Variant;
  /** Undefined for a single file. */
  readonly name: string | undefined;
  readonly files: readonly TorrentFile[];
}

export interface TorrentFile {
  readonly path: string;
  readonly size: number;
  readonly at: string | null;
  readonly same_name: boolean;
}

const LACKING: TorrentFile = {
  path: 'zz-not-in-the-collection.bin',
  size: 123_456_789,
  at: null,
  same_name: false,
};

/** `has` tells if the collection has a file of that name and size: a missing file must not exist elsewhere. */
export function asTorrent(
  release: Release,
  random: Random,
  has: (path: string, size: number) => boolean,
): TorrentOfRelease {
  const at = pathsOf(release);
  const original = release.files.map(({ path, size }, i) => ({ path, size, at: at[i] ?? null, same_name: true }));
  const sorted = random.chance(0.5);
  const files = sorted ? original.toSorted((a, b) => (a.path < b.path ? -1 : 1)) : original;
  const { name } = release;
  const variant = random.pick(VARIANTS);
  switch (variant) {
    case 'complete':
      return { variant, name, files };
    case 'another-root':
      return { variant, name: name === undefined ? name : `${name}.REPACK`, files };
    case 'another-size':
      return { variant, name, files: [longer(files, has), ...files.slice(1)] };
    case 'another-spelling':
      return { variant, name, files: files.map(respelled) };
    case 'one-lacking':
      // A single file has no room for another: it becomes a folder of two.
      return { variant, name: name ?? 'Two files', files: [...files, LACKING] };
    default:
      throw new Error('no such variant', { cause: variant satisfies never });
  }
}

function longer(files: readonly TorrentFile[], has: (path: string, size: number) => boolean): TorrentFile {
  const [first] = files;
  if (first === undefined) throw new Error('a release without files');
  let size = first.size + 1;
  while (has(first.path, size)) size++;
  return { path: first.path, size, at: null, same_name: false };
}

/** Spaces for underscores, and capitals: the name of a file at the top. */
function respelled(file: TorrentFile): TorrentFile {
  if (file.path.includes('/')) return file;
  const path = file.path.replaceAll('_', ' ').toUpperCase();
  return { ...file, path, same_name: path === file.path };
}
