/**
 * Folders of small files, and torrents of them: for what matching costs where names and sizes repeat. In the `repeated` kind
 * each folder has files of the same names and sizes, with other bytes; in the `distinct` kind no name occurs twice. Below
 * the data set's folder:
 *
 * - `data/` holds the folders.
 * - `torrents/` holds a torrent of each folder; every tenth has another name than its folder. `all.torrent`, beside these folders, has all of them.
 */
import { createHash, type Hash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Bencodable, bencoded } from '../../test/harness/make-torrent.ts';
import type { DataSet } from './cache.ts';
import { Random } from './random.ts';

/** Raise this with every change of the generated data. */
const VERSION = 1;
const PIECE_LENGTH = 65_536;
const LEAST_BYTES = 200;
const MOST_BYTES = 1400;

export interface RepeatedOptions {
  readonly kind: 'repeated' | 'distinct';
  readonly folders: number;
  /** In each folder. */
  readonly files: number;
  readonly seed: number;
}

export function repeated({ kind, folders, files, seed }: RepeatedOptions): DataSet {
  return {
    name: `${kind}-v${VERSION}-${folders}-folders-of-${files}-files-seed-${seed}`,
    generate(folder) {
      for (const name of ['data', 'torrents']) mkdirSync(join(folder, name));
      const all = new Torrent();
      for (let i = 0; i < folders; i++) {
        const name = `folder ${number(i)}`;
        const random = new Random('repeated', kind, seed, i);
        const sizes = new Random('sizes', kind, seed, kind === 'repeated' ? 0 : i);
        const torrent = new Torrent();
        mkdirSync(join(folder, 'data', name));
        for (let k = 0; k < files; k++) {
          const file = kind === 'repeated' ? `file ${number(k)}.bin` : `file ${number(k)} of ${number(i)}.bin`;
          const bytes = random.bytes(sizes.between(LEAST_BYTES, MOST_BYTES));
          writeFileSync(join(folder, 'data', name, file), bytes);
          torrent.add([file], bytes);
          all.add([name, file], bytes);
        }
        torrent.write(join(folder, 'torrents'), i % 10 === 9 ? `another name ${number(i)}` : name);
      }
      all.write(folder, 'all');
    },
  };
}

/** A torrent whose files come one after the other. */
class Torrent {
  readonly #files: Bencodable[] = [];
  readonly #pieces: Buffer[] = [];
  #hash: Hash = createHash('sha1');
  /** Bytes of the last piece. */
  #filled = 0;

  add(path: readonly string[], bytes: Buffer): void {
    this.#files.push({ length: bytes.length, path });
    for (let at = 0; at < bytes.length; ) {
      const some = bytes.subarray(at, at + PIECE_LENGTH - this.#filled);
      this.#hash.update(some);
      at += some.length;
      this.#filled += some.length;
      if (this.#filled === PIECE_LENGTH) this.#endPiece();
    }
  }

  write(folder: string, name: string): void {
    if (this.#filled > 0) this.#endPiece();
    const info = { name, files: this.#files, 'piece length': PIECE_LENGTH, pieces: Buffer.concat(this.#pieces) };
    writeFileSync(join(folder, `${name}.torrent`), bencoded({ announce: 'http://127.0.0.1:9/announce', info }));
  }

  #endPiece(): void {
    this.#pieces.push(this.#hash.digest());
    this.#hash = createHash('sha1');
    this.#filled = 0;
  }
}

function number(n: number): string {
  return n.toString().padStart(4, '0');
}
