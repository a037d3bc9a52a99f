/** A large file of a scene, its torrent, and reads of it through the mount. */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { makeTorrent } from '../../test/harness/make-torrent.ts';
import type { Scene } from '../../test/survival/scene.ts';
import { writeDataFile } from '../data/known-bytes.ts';
import { MIB, positions, read, shuffled } from './access.ts';

const RANDOM_BYTES = 16_384;

export class LargeFile {
  readonly name: string;
  readonly torrent: Buffer;
  /** The path of the source. */
  readonly source: string;
  readonly #bytes: number;
  readonly #scene: Scene;

  /**
   * Writes the file into `folder`, and syncs it: the kernel writes what is not on the disk yet before it shares extents. Its
   * pieces have a mebibyte. Files of two seeds have no piece in common.
   */
  constructor(scene: Scene, name: string, bytes: number, seed: number, folder = scene.library) {
    this.name = name;
    this.source = join(folder, `${name}.mkv`);
    this.#bytes = bytes;
    this.#scene = scene;
    mkdirSync(dirname(this.source), { recursive: true });
    writeDataFile(this.source, bytes, seed);
    const written = openSync(this.source, 'r');
    fsyncSync(written);
    closeSync(written);
    this.torrent = makeTorrent({ name: `${name}.mkv`, content: readFileSync(this.source), pieceLength: MIB }).raw;
  }

  /** Reads at random places. Gives MB/s. */
  async randomRate(reads: number): Promise<number> {
    const places = shuffled(positions(this.#bytes, RANDOM_BYTES)).slice(0, reads);
    return (places.length * RANDOM_BYTES) / 1e6 / (await this.#read(places, RANDOM_BYTES));
  }

  /** Reads it from its beginning to its end. Gives MB/s. */
  async sequentialRate(): Promise<number> {
    return this.#bytes / 1e6 / (await this.#read(positions(this.#bytes, MIB), MIB));
  }

  async #read(places: readonly number[], length: number): Promise<number> {
    const path = join(this.#scene.autotorrent.storePath, this.name, `${this.name}.mkv`);
    return await read([{ path, positions: places, length, scratch: dirname(this.#scene.autotorrent.storePath) }]);
  }
}
