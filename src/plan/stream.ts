/**
 * Reads a plan while it arrives. No more of it is in memory than its metainfo and its piece map, which an entry keeps as they are,
 * and one part: a source, or a file with its extents. A part that is cut off is read again once there are enough bytes.
 */
import { ByteReader, CutOff } from '../bytes/byte-codec.ts';
import { measureMetainfo } from '../metainfo/measure.ts';
import { boundsOf, NO_BOUNDS, overBounds, type PlanBounds } from './bounds.ts';
import { PlanDecoder, sound } from './decoder.ts';
import type { PlanHeader } from './format.ts';
import type { PlanFile, PlanSource } from './plan.ts';

/** Parts that are decoded before others get a turn of the event loop: some milliseconds. */
const SLICE = 250;

export class PlanStream {
  readonly header: PlanHeader;
  readonly #window: Window;
  readonly #decoder: PlanDecoder;

  private constructor(header: PlanHeader, decoder: PlanDecoder, window: Window) {
    this.header = header;
    this.#decoder = decoder;
    this.#window = window;
  }

  /**
   * Reads the metainfo and the header.
   * @throws AutotorrentError('SERVER') if the bytes are not a valid plan of this version; ('TORRENT') if it has more than its metainfo
   *   can need, or its metainfo is none; what `chunks` throws. So do the iterators
   */
  static async open(chunks: AsyncIterable<Buffer>): Promise<PlanStream> {
    const window = new Window(chunks);
    const decoder = await window.read((bytes) => new PlanDecoder(bytes));
    const { metainfo } = decoder;
    const bounds = boundsOf({ bytes: metainfo.length, dictionaries: await measureMetainfo(metainfo) });
    window.bounds = bounds;
    const header = await window.read((bytes) => decoder.readHeader(bytes, bounds));
    return new PlanStream(header, decoder, window);
  }

  async *sources(): AsyncGenerator<PlanSource, void, undefined> {
    for (let read = 1; this.#decoder.sourcesLeft > 0; read++) {
      const source = await this.#window.read((bytes) => this.#decoder.readSource(bytes));
      // A view would keep the chunk that it came in.
      yield { ...source, path: Buffer.from(source.path) };
      if (read % SLICE === 0) await new Promise(setImmediate);
    }
  }

  /** Reads the files, then checks the whole plan: a plan whose iterator did not end is not valid. */
  async *files(): AsyncGenerator<PlanFile, void, undefined> {
    if (this.#decoder.sourcesLeft > 0) throw new Error('the sources of a plan come before its files');
    for (let read = 1; this.#decoder.filesLeft > 0; read++) {
      yield await this.#window.read((bytes) => this.#decoder.readFile(bytes));
      if (read % SLICE === 0) await new Promise(setImmediate);
    }
    await this.#window.end();
    await this.#window.read((bytes) => this.#decoder.readEnd(bytes));
  }
}

/** The bytes that have come and are not read. */
class Window {
  bounds: PlanBounds = NO_BOUNDS;
  readonly #chunks: AsyncIterator<Buffer>;
  #reader = new ByteReader(Buffer.alloc(0));
  #bytes: Buffer = Buffer.alloc(0);
  #received = 0;
  #ended = false;

  constructor(chunks: AsyncIterable<Buffer>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** Reads one part. `read` changes nothing where the bytes are cut off. */
  read<T>(read: (bytes: ByteReader) => T): T | Promise<T> {
    const from = this.#reader.position;
    try {
      return sound(() => read(this.#reader));
    } catch (error) {
      const cut = error instanceof Error ? error.cause : undefined;
      if (!(cut instanceof CutOff) || this.#ended) throw error;
      return this.#more(from, cut.needed - from).then(() => this.read(read));
    }
  }

  /** Waits for the end of the bytes. @throws AutotorrentError('SERVER') if some are left */
  async end(): Promise<void> {
    const from = this.#reader.position;
    if (!this.#ended) await this.#more(from, this.#bytes.length - from + 1);
  }

  /** Waits until there are `wanted` bytes from `from` on, and some more, or the end. */
  async #more(from: number, wanted: number): Promise<void> {
    const rest = this.#bytes.subarray(from);
    // At least twice as much as there was, so that a long part is not read again for every chunk.
    const least = wanted > 4 * rest.length ? wanted : Math.max(wanted, Math.min(2 * rest.length, rest.length + LEAP));
    let room = Buffer.allocUnsafeSlow(least + CHUNK);
    let filled = rest.copy(room);
    while (filled < least) {
      const { value, done } = await this.#chunks.next();
      if (done === true) {
        this.#ended = true;
        break;
      }
      this.#received += value.length;
      if (this.#received > this.bounds.bytes) throw overBounds('bytes', this.#received, this.bounds.bytes);
      if (filled + value.length > room.length) {
        const larger = Buffer.allocUnsafeSlow(filled + value.length);
        room.copy(larger, 0, 0, filled);
        room = larger;
      }
      filled += value.copy(room, filled);
    }
    this.#bytes = room.subarray(0, filled);
    this.#reader = new ByteReader(this.#bytes, { partial: !this.#ended });
  }
}

const CHUNK = 64 * 1024;
const LEAP = 4 * 1024 * 1024;
