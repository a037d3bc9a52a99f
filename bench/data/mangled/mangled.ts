/**
 * Files that were changed in known ways, and torrents of their originals: for the hash modes. Below the data set's folder,
 * 3.4 GiB at scale 1:
 *
 * - `data/main/` holds the changed files, `data/decoys/` files that only look like others.
 * - `torrents/` holds the torrents, one for each case.
 * - `truth.json` says where the bytes of each torrent lie, and which of its pieces can be found (`MangledTruth`).
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Bencodable, bencoded } from '../../../test/harness/make-torrent.ts';
import type { DataSet } from '../cache.ts';
import { Random } from '../random.ts';
import { ALBUM, CASES, type Case } from './cases.ts';
import { type Part, type Run, render, runsOf } from './parts.ts';
import { type HeldPieces, heldPieces } from './pieces.ts';

/** Raise this with every change of the generated data. */
const VERSION = 1;
const MIB = 2 ** 20;
/** The minimum at a small scale: some pieces. */
const LEAST_BYTES = 200_003;
/** The difference between two cases' sizes, at scale 1: no two are equal by chance. */
const STEP_BYTES = 130_003;
const LEAST_STEP_BYTES = 1009;

export interface MangledOptions {
  readonly seed: number;
  /** Scale of the files' sizes. Default: 1. */
  readonly scale?: number;
}

export interface MangledTruth {
  /** Sums over the torrents. `split` pieces are among the `whole` ones. */
  readonly pieces: number;
  readonly whole: number;
  readonly split: number;
  readonly torrents: readonly MangledTorrent[];
}

export interface MangledTorrent extends HeldPieces {
  readonly torrent: string;
  readonly case: string;
  readonly piece_length: number;
  readonly files: readonly {
    readonly path: string;
    readonly size: number;
    /** Path below `data`; null for a pad file. */
    readonly stored: string | null;
    readonly runs: readonly Run[];
  }[];
}

export function mangled({ seed, scale = 1 }: MangledOptions): DataSet {
  return {
    name: `mangled-v${VERSION}-scale-${scale}-seed-${seed}`,
    generate: (folder) => new Generator(folder, seed, scale).run(),
  };
}

export function readMangledTruth(folder: string): MangledTruth {
  return JSON.parse(readFileSync(join(folder, 'truth.json'), 'utf8')) as MangledTruth;
}

/** The whole original of a file, as the torrent has it. Otherwise only the generator's test uses it. */
export function originalBytes(seed: number, torrentCase: string, path: string, size: number): Buffer {
  return new Random('original', seed, torrentCase, path).bytes(size);
}

class Generator {
  readonly #folder: string;
  readonly #seed: number;
  readonly #scale: number;
  readonly #pieceLength: number;
  readonly #stepBytes: number;
  readonly #torrents: MangledTorrent[] = [];

  constructor(folder: string, seed: number, scale: number) {
    this.#folder = folder;
    this.#seed = seed;
    this.#scale = scale;
    this.#stepBytes = Math.max(LEAST_STEP_BYTES, Math.floor(STEP_BYTES * scale));
    this.#pieceLength = scale >= 0.2 ? 2 ** 18 : 2 ** 15;
  }

  run(): void {
    for (const name of ['data/main', 'data/decoys', 'torrents'])
      mkdirSync(join(this.#folder, name), { recursive: true });
    for (const [i, one] of CASES.entries()) this.#single(one, i);
    this.#album('album', false);
    this.#album('album-with-pad-files', true);
    const sum = (count: (torrent: MangledTorrent) => number): number =>
      this.#torrents.reduce((total, torrent) => total + count(torrent), 0);
    const truth: MangledTruth = {
      pieces: sum(({ pieces }) => pieces),
      whole: sum(({ whole }) => whole.reduce((count, [first, end]) => count + end - first, 0)),
      split: sum(({ split }) => split.length),
      torrents: this.#torrents,
    };
    writeFileSync(join(this.#folder, 'truth.json'), JSON.stringify(truth, null, 1));
  }

  #single({ name, size, sameName, copy, decoy, extension = '.mkv' }: Case, i: number): void {
    const bytes =
      'pieces' in size
        ? Math.floor(size.pieces * this.#pieceLength)
        : this.#scaled(size.mib) + (i + 1) * this.#stepBytes;
    const path = `original ${i.toString().padStart(2, '0')} ${name}${extension}`;
    const stored = `main/${sameName ? path : this.#anotherName(name, i)}`;
    const original = this.#store(name, path, bytes, stored, copy(bytes));
    if (decoy !== undefined) {
      const at = decoy === 'same name' ? path : `aa ${i}.bin`;
      this.#write(`decoys/${at}`, [new Random('decoy', this.#seed, name).bytes(bytes)]);
    }
    const files = [{ path, size: bytes, stored, runs: runsOf(copy(bytes)) }];
    this.#torrent(name, { name: path, length: bytes }, files, [original]);
  }

  #album(name: string, pads: boolean): void {
    const files: MangledTorrent['files'][number][] = [];
    const originals: Buffer[] = [];
    const folder = `The ${name}`;
    for (const [i, { path, size, sameName, copy }] of ALBUM.entries()) {
      const bytes = 'bytes' in size ? size.bytes : this.#scaled(size.mib) + (i + 1) * 1117 + Number(pads);
      const stored = `main/${folder}/${sameName ? path : `track${i} of ${name}.dat`}`;
      originals.push(this.#store(name, path, bytes, stored, copy(bytes)));
      files.push({ path, size: bytes, stored, runs: runsOf(copy(bytes)) });
      const padding = (this.#pieceLength - (bytes % this.#pieceLength)) % this.#pieceLength;
      if (!pads || padding === 0 || i === ALBUM.length - 1) continue;
      originals.push(Buffer.alloc(padding));
      files.push({ path: `.pad/${padding}`, size: padding, stored: null, runs: [] });
    }
    const info = {
      name: folder,
      files: files.map(({ path, size, stored }) => ({
        length: size,
        path: path.split('/'),
        ...(stored === null ? { attr: 'p' } : {}),
      })),
    };
    this.#torrent(name, info, files, originals);
  }

  #torrent(
    name: string,
    info: { readonly [key: string]: Bencodable },
    files: MangledTorrent['files'],
    originals: readonly Buffer[],
  ): void {
    const number = this.#torrents.length.toString().padStart(2, '0');
    const [torrent, pieceLength] = [`${number}-${name}.torrent`, this.#pieceLength];
    const pieces = digestsOf(originals, pieceLength);
    const raw = bencoded({ info: { ...info, 'piece length': pieceLength, pieces } });
    writeFileSync(join(this.#folder, 'torrents', torrent), raw);
    const held = files.map(({ size, stored, runs }) => ({ size, runs: stored === null ? ('pad' as const) : runs }));
    this.#torrents.push({ torrent, case: name, piece_length: pieceLength, ...heldPieces(held, pieceLength), files });
  }

  #store(torrentCase: string, path: string, bytes: number, stored: string, parts: readonly Part[]): Buffer {
    const original = originalBytes(this.#seed, torrentCase, path, bytes);
    this.#write(stored, render(original, parts, new Random('foreign', this.#seed, torrentCase, path)));
    return original;
  }

  #write(path: string, parts: readonly Buffer[]): void {
    const at = join(this.#folder, 'data', path);
    mkdirSync(dirname(at), { recursive: true });
    for (const [i, part] of parts.entries()) writeFileSync(at, part, { flag: i === 0 ? 'wx' : 'a' });
  }

  #scaled(mib: number): number {
    return Math.max(LEAST_BYTES, Math.floor(mib * MIB * this.#scale));
  }

  #anotherName(name: string, i: number): string {
    return `stored ${new Random('name', this.#seed, name, i).bytes(4).toString('hex')}.bin`;
  }
}

/** Gives the SHA-1 of each piece of the joined files. */
function digestsOf(files: readonly Buffer[], pieceLength: number): Buffer {
  const digests: Buffer[] = [];
  let hash = createHash('sha1');
  let filled = 0;
  for (const file of files) {
    for (let at = 0; at < file.length; ) {
      const length = Math.min(pieceLength - filled, file.length - at);
      hash.update(file.subarray(at, at + length));
      at += length;
      filled += length;
      if (filled < pieceLength) continue;
      digests.push(hash.digest());
      hash = createHash('sha1');
      filled = 0;
    }
  }
  if (filled > 0) digests.push(hash.digest());
  return Buffer.concat(digests);
}
