/**
 * The files of random torrents on two disks, and what happens to them at random. A file may be cut, tagged or overwritten, and
 * have copies and links. What lies whole somewhere is asked of the disks themselves (`wholeBlocks`).
 */
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { libtorrentOf } from '../../harness/libtorrent.ts';
import { makeTorrent } from '../../harness/make-torrent.ts';
import type { HashedFiles } from '../../harness/piece-reader.ts';
import type { Random } from '../../stress/random.ts';
import { hashesOf, PIECE_LENGTH } from '../films.ts';
import { copyWithTimes, moveAcross, moveTo, overwrite, replace, retagged, swapNames } from '../happenings.ts';

/** A file of a torrent. It is read in blocks of `PIECE_LENGTH`. */
export interface RandomFile extends HashedFiles {
  /** Its path below the mount. */
  readonly shown: string;
  readonly bytes: Buffer;
  readonly digest: string;
  /** The pieces of the torrent that each block touches. */
  readonly piecesOf: readonly (readonly number[])[];
}

export interface RandomTorrent {
  readonly name: string;
  readonly torrent: Buffer;
  readonly files: readonly RandomFile[];
  /** The files with bytes in each piece. */
  readonly pieces: readonly ReadonlySet<RandomFile>[];
}

/** Where things happen. */
export interface Places {
  /** A folder on the tested file system. */
  readonly library: string;
  /** A disk on another file system. */
  readonly elsewhere: string;
}

/** One thing that happened. Times are `performance.now()`. */
export interface Happened {
  readonly what: string;
  readonly from: number;
  readonly to: number;
  /** A file was written to in place: what is read at the same time may be older or newer than the look at it. */
  readonly inPlace: boolean;
}

interface Context {
  readonly random: Random;
  readonly world: World;
  readonly file: RandomFile;
  readonly path: string;
}

interface Event {
  readonly weight: number;
  readonly inPlace?: true;
  readonly happens: (context: Context) => string | Promise<string>;
}

/** Pauses within an event that is two steps, in milliseconds. */
const PAUSE_MS: readonly [number, number] = [0, 400];

export class World {
  readonly torrents: readonly RandomTorrent[];
  readonly places: Places;
  readonly log: Happened[] = [];
  /** True while a file is written to in place. */
  busyInPlace = false;
  readonly #random: Random;
  /** What is derived from each file: the paths at which it lies. */
  readonly #paths = new Map<string, RandomFile>();
  #names = 0;

  constructor(places: Places, random: Random) {
    this.places = places;
    this.#random = random;
    this.torrents = this.#make();
  }

  get files(): readonly RandomFile[] {
    return this.torrents.flatMap(({ files }) => files);
  }

  #make(): RandomTorrent[] {
    const random = this.#random;
    const seed = random.seed();
    const at = join(this.places.library, `${seed}`);
    const torrents: RandomTorrent[] = [];
    const film = random.bytes(random.between(3 * PIECE_LENGTH, 30 * PIECE_LENGTH));
    const lay = (name: string, data: Buffer): string => {
      const path = join(at, name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, data);
      return path;
    };
    lay('film/film.mkv', film);
    // Two torrents share its bytes, in pieces of other lengths.
    for (const [i, pieceLength] of [PIECE_LENGTH, 4 * PIECE_LENGTH].entries()) {
      const { raw } = makeTorrent({ name: 'film.mkv', content: film, pieceLength });
      torrents.push(torrentOf(`film ${i}`, raw, 'spanning', pieceLength, [{ name: '../film.mkv', bytes: film }]));
    }
    for (const version of ['v1', 'v2', 'hybrid'] as const) {
      const count = random.between(2, 6);
      const pieceLength = random.pick([PIECE_LENGTH, 2 * PIECE_LENGTH]);
      const files = Array.from({ length: count }, (_, i) => {
        // Some have no piece of their own.
        const length = random.chance(0.3) ? random.between(200, 8000) : random.between(PIECE_LENGTH, 20 * PIECE_LENGTH);
        return { name: `${i}.bin`, bytes: random.bytes(length) };
      });
      for (const { name, bytes } of files) lay(`${version}/${name}`, bytes);
      const raw =
        version === 'v1'
          ? makeTorrent({
              name: version,
              content: files.map(({ name, bytes }) => ({ path: [name], data: bytes })),
              pieceLength,
            }).raw
          : libtorrentOf(join(at, version), version, pieceLength);
      torrents.push(torrentOf(version, raw, version === 'v1' ? 'spanning' : 'aligned', pieceLength, files));
    }
    for (const { files } of torrents) {
      for (const file of files) {
        const [folder = '', name = ''] = file.shown.split('/').slice(-2);
        const path = folder.startsWith('film') ? join(at, 'film', 'film.mkv') : join(at, folder, name);
        this.#paths.set(path, file);
      }
    }
    return torrents;
  }

  /** Has something happen. Gives what. */
  async happen(): Promise<Happened> {
    const random = this.#random;
    const name = random.weighted(Object.fromEntries(Object.entries(EVENTS).map(([key, { weight }]) => [key, weight])));
    const event = EVENTS[name]!;
    // Also the event that finds nothing to happen to takes the same numbers.
    const paths = [...this.#paths.keys()].toSorted();
    const path = random.pick(paths);
    const from = performance.now();
    const file = this.#paths.get(path)!;
    this.busyInPlace = event.inPlace === true;
    const what = existsSync(path) ? await event.happens({ random, world: this, file, path }) : this.restore(file, path);
    this.busyInPlace = false;
    const happened = { what: `${name}: ${what}`, from, to: performance.now(), inPlace: event.inPlace === true };
    this.log.push(happened);
    return happened;
  }

  /** A path on the same disk that no file has had. */
  fresh(path: string): string {
    const { elsewhere, library } = this.places;
    const root = path.startsWith(`${elsewhere}/`) ? elsewhere : library;
    const folder = this.#random.pick([dirname(path), join(dirname(path), `f${this.#names}`), root]);
    return join(folder, `r${this.#names++}.bin`);
  }

  far(path: string): string {
    const { elsewhere, library } = this.places;
    return join(path.startsWith(elsewhere) ? library : elsewhere, `far ${this.#names++}`);
  }

  moved(from: string, to: string): void {
    const file = this.#paths.get(from)!;
    this.#paths.delete(from);
    this.#paths.set(to, file);
  }

  copied(from: string, to: string): void {
    this.#paths.set(to, this.#paths.get(from)!);
  }

  swapped(one: string, other: string): void {
    const [a, b] = [this.#paths.get(one)!, this.#paths.get(other)!];
    this.#paths.set(one, b);
    this.#paths.set(other, a);
  }

  folderMoved(from: string, to: string): void {
    for (const path of this.#paths.keys()) {
      if (path.startsWith(`${from}/`)) this.moved(path, to + path.slice(from.length));
    }
  }

  /** Another path of the world, on the same file system. */
  another(path: string): string | undefined {
    const isFar = (one: string): boolean => one.startsWith(this.places.elsewhere);
    const others = [...this.#paths.keys()].filter(
      (one) => one !== path && isFar(one) === isFar(path) && existsSync(one),
    );
    return this.#random.pickOrNone(others.toSorted());
  }

  /** Writes a file as it was released. */
  restore(file: RandomFile, path: string): string {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, file.bytes);
    return `${path} is written anew`;
  }

  /** The blocks of each file of which all torrent pieces lie whole in files of the disks. */
  wholeBlocks(): ReadonlyMap<RandomFile, readonly boolean[]> {
    const digests = new Set<string>();
    for (const folder of [this.places.library, this.places.elsewhere]) {
      for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
        if (entry.isFile()) digests.add(sha1(readFileSync(join(entry.parentPath, entry.name))));
      }
    }
    const found = new Map<RandomFile, boolean[]>();
    for (const { files, pieces } of this.torrents) {
      const whole = pieces.map((piece) => [...piece].every(({ digest }) => digests.has(digest)));
      for (const file of files) {
        found.set(
          file,
          file.piecesOf.map((touched) => touched.every((piece) => whole[piece])),
        );
      }
    }
    return found;
  }
}

function torrentOf(
  name: string,
  torrent: Buffer,
  layout: 'spanning' | 'aligned',
  pieceLength: number,
  contents: readonly { readonly name: string; readonly bytes: Buffer }[],
): RandomTorrent {
  const pieces: Set<RandomFile>[] = [];
  let start = 0;
  const files = contents.map(({ name: inner, bytes }) => {
    if (layout === 'aligned') start = Math.ceil(start / pieceLength) * pieceLength;
    const begin = start;
    const piecesOf = hashesOf(bytes).map((_, block) => {
      const [from, to] = [begin + block * PIECE_LENGTH, begin + Math.min(bytes.length, (block + 1) * PIECE_LENGTH)];
      const first = Math.floor(from / pieceLength);
      return Array.from({ length: Math.floor((to - 1) / pieceLength) - first + 1 }, (__, i) => first + i);
    });
    start += bytes.length;
    const file: RandomFile = {
      shown: join(name, name, inner),
      bytes,
      digest: sha1(bytes),
      piecesOf,
      lengths: [bytes.length],
      pieceLength: PIECE_LENGTH,
      hashes: hashesOf(bytes),
    };
    for (const piece of piecesOf.flat()) (pieces[piece] ??= new Set()).add(file);
    return file;
  });
  return { name, torrent, files, pieces };
}

const sha1 = (bytes: Buffer): string => createHash('sha1').update(bytes).digest('hex');

const garbage = (random: Random, length: number): Buffer => Buffer.alloc(length, `garbage ${random.between(0, 99)} `);

const EVENTS: Readonly<Record<string, Event>> = {
  rename: {
    weight: 6,
    happens({ world, path }) {
      const to = world.fresh(path);
      moveTo(path, to);
      world.moved(path, to);
      return `${path} → ${to}`;
    },
  },
  'rename in two steps': {
    weight: 3,
    async happens({ random, world, path }) {
      const to = world.fresh(path);
      renameSync(path, `${path}.partial~`);
      await sleep(random.between(...PAUSE_MS));
      moveTo(`${path}.partial~`, to);
      world.moved(path, to);
      return `${path} → ${to}`;
    },
  },
  'rename folder': {
    weight: 4,
    happens({ world, path }) {
      const from = dirname(path);
      if (from === world.places.library || from === world.places.elsewhere) return 'nothing';
      const to = `${world.fresh(from)} folder`;
      if (to.startsWith(`${from}/`)) return 'nothing';
      moveTo(from, to);
      world.folderMoved(from, to);
      return `${from} → ${to}`;
    },
  },
  'move to another disk': {
    weight: 4,
    happens({ world, path }) {
      const to = world.far(path);
      moveAcross(path, to);
      world.moved(path, to);
      return `${path} → ${to}`;
    },
  },
  touch: {
    weight: 4,
    happens({ random, path }) {
      const time = random.chance(0.5) ? new Date() : new Date(random.between(0, 1_700_000_000) * 1000);
      utimesSync(path, time, time);
      return path;
    },
  },
  chmod: {
    weight: 4,
    happens({ random, path }) {
      chmodSync(path, random.pick([0o600, 0o640, 0o644, 0o444]));
      return path;
    },
  },
  're-tag anew': {
    weight: 2,
    happens({ path }) {
      replace(path, retagged(readFileSync(path)));
      return path;
    },
  },
  're-tag in place': {
    weight: 2,
    inPlace: true,
    happens({ path }) {
      writeFileSync(path, retagged(readFileSync(path)));
      return path;
    },
  },
  append: {
    weight: 2,
    inPlace: true,
    happens({ path }) {
      appendFileSync(path, Buffer.alloc(128, 'tag '));
      return path;
    },
  },
  overwrite: {
    weight: 3,
    inPlace: true,
    happens({ random, path }) {
      const { size, atime, mtime } = statSync(path);
      const offset = random.between(0, Math.max(0, size - 100));
      const back = random.chance(0.5);
      overwrite(path, offset, Buffer.alloc(Math.min(100, size), 'x'));
      if (back) utimesSync(path, atime, mtime);
      return `${path} at ${offset}${back ? ', mtime set back' : ''}`;
    },
  },
  truncate: {
    weight: 1,
    inPlace: true,
    happens({ random, path }) {
      const size = random.between(0, statSync(path).size);
      truncateSync(path, size);
      return `${path} to ${size}`;
    },
  },
  'truncate and restore': {
    weight: 2,
    inPlace: true,
    async happens({ random, world, file, path }) {
      truncateSync(path, random.between(0, statSync(path).size));
      await sleep(random.between(...PAUSE_MS));
      return world.restore(file, path);
    },
  },
  'replace by a copy': {
    weight: 4,
    happens({ random, path }) {
      const { mtime } = statSync(path);
      replace(path, readFileSync(path), random.chance(0.5) ? mtime : undefined);
      return path;
    },
  },
  'replace by garbage': {
    weight: 2,
    happens({ random, path }) {
      const { size, mtime } = statSync(path);
      replace(path, garbage(random, size), mtime);
      return path;
    },
  },
  'swap names': {
    weight: 4,
    happens({ world, path }) {
      const other = world.another(path);
      if (other === undefined) return 'nothing';
      swapNames(path, other);
      world.swapped(path, other);
      return `${path} ↔ ${other}`;
    },
  },
  'rename over another': {
    weight: 1,
    happens({ world, path }) {
      const other = world.another(path);
      if (other === undefined) return 'nothing';
      renameSync(path, other);
      world.moved(path, other);
      return `${path} → ${other}`;
    },
  },
  link: {
    weight: 3,
    happens({ world, path }) {
      const to = world.fresh(path);
      mkdirSync(dirname(to), { recursive: true });
      linkSync(path, to);
      world.copied(path, to);
      return `${path} = ${to}`;
    },
  },
  copy: {
    weight: 3,
    happens({ random, world, path }) {
      const to = random.chance(0.5) ? world.far(path) : world.fresh(path);
      mkdirSync(dirname(to), { recursive: true });
      if (random.chance(0.5)) copyWithTimes(path, to);
      else copyFileSync(path, to);
      world.copied(path, to);
      return `${path} → ${to}`;
    },
  },
  delete: {
    weight: 3,
    happens({ path }) {
      rmSync(path);
      return path;
    },
  },
  'delete and restore': {
    weight: 3,
    async happens({ random, world, file, path }) {
      rmSync(path);
      await sleep(random.between(...PAUSE_MS));
      return world.restore(file, path);
    },
  },
  restore: {
    weight: 8,
    inPlace: true,
    happens({ random, world, file, path }) {
      if (random.chance(0.5)) {
        replace(path, file.bytes);
        return `${path} is replaced`;
      }
      return world.restore(file, path);
    },
  },
};
