/**
 * A collection of sparse files with real-world names and sizes, and torrents of some of its releases, whose pieces are
 * random: for code that only looks at names and sizes. Below the data set's folder:
 *
 * - `data/` holds the files, `torrents/` the torrents.
 * - `truth.json` says for each torrent's files where the same file lies in the collection (`TreeTruth`).
 */
import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { bencoded } from '../../../test/harness/make-torrent.ts';
import type { DataSet } from '../cache.ts';
import { Random } from '../random.ts';
import { someReleases } from './kinds.ts';
import { pathsOf, type Release } from './release.ts';
import { asTorrent, type TorrentOfRelease } from './torrents.ts';

/** Raise this with every change of the generated data. */
const VERSION = 1;

export interface TreeOptions {
  /** The minimum of files: the last release is whole. */
  readonly files: number;
  readonly seed: number;
  /** Default: 100. */
  readonly torrents?: number;
}

export interface TreeTruth {
  readonly files: number;
  readonly bytes: number;
  readonly torrents: readonly {
    readonly torrent: string;
    readonly kind: Release['kind'];
    readonly variant: TorrentOfRelease['variant'];
    readonly size: number;
    /** Bytes of the files that have the torrent's name and size in the collection. */
    readonly found_bytes: number;
    readonly files: readonly {
      readonly path: string;
      readonly size: number;
      /** Path below `data` of the file that the torrent means; null if the collection lacks it. */
      readonly at: string | null;
      /** True if that file has the torrent's name for it. */
      readonly same_name: boolean;
    }[];
  }[];
}

export function tree({ files, seed, torrents = 100 }: TreeOptions): DataSet {
  return {
    name: `tree-v${VERSION}-${files}-files-${torrents}-torrents-seed-${seed}`,
    generate(folder) {
      const collection = new Collection(join(folder, 'data'));
      const random = new Random('tree', seed);
      while (collection.files < files) for (const release of someReleases(random)) collection.add(release);
      for (let i = 0; i < files / 10_000; i++) collection.addLatin1(i);
      writeTorrents(folder, collection, new Random('torrents of the tree', seed), torrents);
    },
  };
}

/** The written files, and the releases that they make up. */
class Collection {
  readonly releases: Release[] = [];
  readonly #folder: string;
  readonly #made = new Set<string>();
  readonly #paths = new Set<string>();
  readonly #namesAndSizes = new Set<string>();
  files = 0;
  bytes = 0;

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder);
  }

  /** Adds a release, unless one of its paths is taken. */
  add(release: Release): void {
    const paths = pathsOf(release);
    if (paths.some((path) => this.#paths.has(path))) return;
    for (const [i, path] of paths.entries()) {
      const size = release.files[i]?.size ?? 0;
      this.#paths.add(path);
      this.#namesAndSizes.add(keyOf(path, size));
      this.#write(Buffer.from(path), dirname(path), size);
    }
    this.releases.push(release);
  }

  /** Adds a file with a name that is not UTF-8. */
  addLatin1(number: number): void {
    this.#write(Buffer.from(`misc/latin1/caf\u00e9 ${number}.bin`, 'latin1'), 'misc/latin1', 1000 + number);
  }

  /** Tells if any file has the last component of this path, and this size. */
  has(path: string, size: number): boolean {
    return this.#namesAndSizes.has(keyOf(path, size));
  }

  #write(path: Buffer, parent: string, size: number): void {
    if (!this.#made.has(parent)) {
      mkdirSync(join(this.#folder, parent), { recursive: true });
      this.#made.add(parent);
    }
    const file = openSync(Buffer.concat([Buffer.from(`${this.#folder}/`), path]), 'wx');
    ftruncateSync(file, size);
    closeSync(file);
    this.files++;
    this.bytes += size;
  }
}

function keyOf(path: string, size: number): string {
  return `${path.slice(path.lastIndexOf('/') + 1)}/${size}`;
}

function writeTorrents(folder: string, collection: Collection, random: Random, count: number): void {
  mkdirSync(join(folder, 'torrents'));
  const torrents = random.sample(collection.releases, count).map((release, i) => {
    const { variant, name, files } = asTorrent(release, random, (path, size) => collection.has(path, size));
    const torrent = `${i.toString().padStart(4, '0')}-${release.kind}-${variant}.torrent`;
    const size = files.reduce((sum, file) => sum + file.size, 0);
    const pieceLength = pieceLengthFor(size);
    const pieces = random.bytes(20 * Math.max(1, Math.ceil(size / pieceLength)));
    const content =
      name === undefined
        ? { name: files[0]?.path ?? '', length: size }
        : { name, files: files.map((file) => ({ length: file.size, path: file.path.split('/') })) };
    writeFileSync(
      join(folder, 'torrents', torrent),
      bencoded({ info: { ...content, 'piece length': pieceLength, pieces } }),
    );
    const found = files
      .filter(({ at, same_name }) => at !== null && same_name)
      .reduce((sum, file) => sum + file.size, 0);
    return { torrent, kind: release.kind, variant, size, found_bytes: found, files };
  });
  const truth: TreeTruth = { files: collection.files, bytes: collection.bytes, torrents };
  writeFileSync(join(folder, 'truth.json'), JSON.stringify(truth, null, 1));
}

/** Chooses a piece length as programs do: a power of two, about a thousand pieces. */
function pieceLengthFor(size: number): number {
  let length = 2 ** 15;
  while (size / length > 1500 && length < 2 ** 24) length *= 2;
  return length;
}
