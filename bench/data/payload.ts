/** Files of random bytes below `data/`, and a torrent of each below `torrents/`: whole files under their own names. */
import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { bencoded } from '../../test/harness/make-torrent.ts';
import type { DataSet } from './cache.ts';
import { Random } from './random.ts';

/** Raise this with every change of the generated data. */
const VERSION = 1;

export interface PayloadOptions {
  readonly files: number;
  /** The size of each file. */
  readonly bytes: number;
  readonly pieceLength: number;
  readonly seed: number;
}

export function payload({ files, bytes, pieceLength, seed }: PayloadOptions): DataSet {
  return {
    name: `payload-v${VERSION}-${files}-files-of-${bytes}-pieces-of-${pieceLength}-seed-${seed}`,
    generate(folder) {
      for (const name of ['data', 'torrents']) mkdirSync(join(folder, name));
      for (let i = 0; i < files; i++) {
        const name = `payload ${i.toString().padStart(4, '0')}.bin`;
        const random = new Random('payload', seed, i);
        const file = openSync(join(folder, 'data', name), 'wx');
        const pieces: Buffer[] = [];
        for (let at = 0; at < bytes; at += pieceLength) {
          const piece = random.bytes(Math.min(pieceLength, bytes - at));
          pieces.push(createHash('sha1').update(piece).digest());
          writeSync(file, piece);
        }
        closeSync(file);
        const info = { name, length: bytes, 'piece length': pieceLength, pieces: Buffer.concat(pieces) };
        // Nothing listens there; some clients require a tracker.
        const torrent = bencoded({ announce: 'http://127.0.0.1:9/announce', info });
        writeFileSync(join(folder, 'torrents', `${name}.torrent`), torrent);
      }
    },
  };
}
