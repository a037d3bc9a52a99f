/**
 * Files inside other files: where the bytes of an archive's member lie, and where a container's payload begins.
 *
 * Glossary. A *volume* is one file of an archive: a ZIP has one, a RAR set may have hundreds. A *member* is a file in
 * the archive. It is *stored* when its bytes lie in the volumes as they are; the ranges that hold them are its *parts*.
 *
 * Invariants:
 * - Everything here is hostile input. Every offset and length is checked against the sizes of the volumes; what does not
 *   fit is left out and named (`Unusable`), and nothing throws but `read` itself.
 * - Parsers move forwards only, and read headers, never contents: a few KiB a volume. `MAX_HEADERS` and `MAX_DIRECTORY`
 *   bound how much of an archive is read, and so what its listing can take of memory.
 * - A listing says what an archive claims. Whether the bytes are those that a torrent wants, only hashing decides.
 */

/** The volumes of one archive, in order, as many as there are. */
export interface Volumes {
  readonly count: number;
  /** Bytes; `volume` counts from 0. */
  size(volume: number): number;
  /** Reads a range inside the volume. Gives fewer bytes only if the volume has shrunk. */
  read(volume: number, offset: number, length: number): Buffer;
}

/** A range of a volume. */
export interface Part {
  readonly volume: number;
  readonly offset: number;
  readonly length: number;
}

/** Reasons for which the bytes of a member cannot be taken from the volumes. */
export type Unusable =
  | 'compressed'
  | 'encrypted'
  | 'incomplete' // a volume with a part of it is missing
  | 'not a file' // a folder, a link, an older version
  | 'damaged'; // the headers contradict themselves, one another or the sizes of the volumes

export interface Member {
  /** Bytes, with `/` between components: UTF-8 where the archive says which characters it means. */
  readonly name: Buffer;
  readonly size: number;
  /** Absent: its bytes can be located. */
  readonly unusable?: Unusable;
}

/** An archive that was read. A member that is cut off by the end of the readable volumes is not in `members`. */
export interface Archive {
  readonly members: readonly Member[];
  /** Locates one of `members`: parts in its order, which add up to its size. */
  locate(member: Member): readonly Part[] | Unusable;
}

/** The most headers that are read of one archive. */
export const MAX_HEADERS = 65_536;
/** The most bytes of names that are kept of one archive. */
export const MAX_ALL_NAMES_BYTES = 16 << 20;
/** A member with a longer name counts as damaged. RAR's own limit is 2,048. */
export const MAX_NAME_BYTES = 4096;
/** An archive whose first files, so many, are all unusable is read no further: it is compressed. */
export const GIVE_UP_AFTER = 64;

/** Reads small ranges of one volume through a window, so that neighbouring headers are one read. */
export class HeaderReader {
  readonly size: number;
  readonly #volumes: Volumes;
  readonly #volume: number;
  #from = 0;
  #window: Buffer = Buffer.alloc(0);

  constructor(volumes: Volumes, volume: number) {
    this.#volumes = volumes;
    this.#volume = volume;
    this.size = volumes.size(volume);
  }

  /** Reads `length` bytes. Undefined where they do not all lie in the volume. */
  bytes(offset: number, length: number): Buffer | undefined {
    if (!isInside(offset, length, this.size)) return undefined;
    if (offset < this.#from || offset + length > this.#from + this.#window.length) {
      this.#window = this.#volumes.read(
        this.#volume,
        offset,
        Math.min(Math.max(length, WINDOW_BYTES), this.size - offset),
      );
      this.#from = offset;
    }
    const at = offset - this.#from;
    const found = this.#window.subarray(at, at + length);
    return found.length === length ? found : undefined;
  }
}

/** The headers of most archives lie within this many bytes. */
const WINDOW_BYTES = 4096;

/** True where `[offset, offset + length)` is a range of a file of `size` bytes. */
export function isInside(offset: number, length: number, size: number): boolean {
  return (
    Number.isSafeInteger(offset) &&
    Number.isSafeInteger(length) &&
    offset >= 0 &&
    length >= 0 &&
    length <= size - offset
  );
}

/** Reads 64 bits, the lowest byte first. A number beyond 2^53 is no safe integer, which `isInside` refuses. */
export function readUint64(bytes: Buffer, offset: number): number {
  return bytes.readUInt32LE(offset) + bytes.readUInt32LE(offset + 4) * 2 ** 32;
}

/** Reads 64 bits, the highest byte first. */
export function readUint64BE(bytes: Buffer, offset: number): number {
  return bytes.readUInt32BE(offset) * 2 ** 32 + bytes.readUInt32BE(offset + 4);
}
