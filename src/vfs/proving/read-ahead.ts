/** Has the next pieces of a file hashed while a reader that reads one after the other still copies the one before. */
import type { MappedContent } from '../../store/overlay/content.ts';

/** Bytes that are hashed ahead of a reader: one piece at least, and `MOST_PIECES` at most. */
const AHEAD_BYTES = 8 * 1024 * 1024;
const MOST_PIECES = 16;
/** Pieces of this size at most are hashed two at a time: both must be kept until the reader is there. */
const PAIRED_BYTES = 16 * 1024 * 1024;

export interface ReadAheadOptions {
  /** Reports whether a piece is worth being hashed now. */
  readonly wants: (content: MappedContent, piece: number, doubt: number) => boolean;
  readonly prove: (content: MappedContent, pieces: readonly number[]) => void;
}

export interface ReadPlace {
  readonly doubt: number;
  readonly pieceLength: number;
  /** The offset of the file in the torrent. */
  readonly start: number;
}

interface Reader {
  piece: number;
  /** Pieces that were asked for one after the other. */
  run: number;
}

export class ReadAhead {
  readonly #options: ReadAheadOptions;
  readonly #readers = new WeakMap<MappedContent, Reader>();

  constructor(options: ReadAheadOptions) {
    this.#options = options;
  }

  /** Notes that bytes of a piece were served to a reader of a file. */
  served(content: MappedContent, piece: number, place: ReadPlace): void {
    const reader = this.#readers.get(content);
    if (reader === undefined) {
      this.#readers.set(content, { piece, run: 0 });
      return;
    }
    if (reader.piece === piece) return;
    reader.run = reader.piece + 1 === piece ? reader.run + 1 : 0;
    reader.piece = piece;
    if (reader.run > 0) this.#goAhead(content, piece, place);
  }

  #goAhead(content: MappedContent, piece: number, { doubt, pieceLength, start }: ReadPlace): void {
    const least = pieceLength <= PAIRED_BYTES ? 2 : 1;
    const count = Math.min(MOST_PIECES, Math.max(least, Math.floor(AHEAD_BYTES / pieceLength)));
    const end = Math.floor((start + content.size - 1) / pieceLength);
    const last = Math.min(end, piece + count);
    const wanted: number[] = [];
    for (let next = piece + 1; next <= last; next++) if (this.#options.wants(content, next, doubt)) wanted.push(next);
    // Some at a time, since two take little longer than one.
    if (wanted.length < count / 2 && last < end) return;
    if (wanted.length > 0) this.#options.prove(content, wanted);
  }
}
