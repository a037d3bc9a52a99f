/** Gathers which files the bad pieces of an entry point to, for the report to the server. */
import type { DamagedSource } from '../control/served.ts';
import type { FileIdentity } from '../source/identity.ts';
import type { EntryLayout } from './entry-layout.ts';

/** Pieces of a file that are named in a report: some suffice, and a report stays small. */
const MOST_NAMED = 100;

interface WrongFile {
  readonly path: Buffer;
  readonly file: FileIdentity;
  readonly pieces: number[];
  count: number;
}

export class FoundDamage {
  readonly pieces: number[] = [];
  readonly #layout: Pick<EntryLayout, 'paths' | 'suspects'>;
  readonly #wrong = new Map<string, WrongFile>();
  readonly #reasons = new Map<string, DamagedSource>();

  constructor(layout: Pick<EntryLayout, 'paths' | 'suspects'>) {
    this.#layout = layout;
  }

  get isEmpty(): boolean {
    return this.pieces.length === 0 && this.#reasons.size === 0;
  }

  /** A piece was hashed and does not agree. */
  wrong(piece: number): void {
    this.pieces.push(piece);
    for (const { path, file } of this.#layout.suspects(piece)) {
      const key = path.toString('latin1');
      let known = this.#wrong.get(key);
      if (known === undefined) this.#wrong.set(key, (known = { path, file, pieces: [], count: 0 }));
      known.count++;
      if (known.pieces.length < MOST_NAMED) known.pieces.push(piece);
    }
  }

  /** A piece agrees with one of the two hashes of a hybrid torrent: no file has its bytes. */
  contradictory(piece: number): void {
    this.pieces.push(piece);
  }

  /** A piece could not be read; the message names the file. */
  unreadable(piece: number, message: string): void {
    this.pieces.push(piece);
    const paths = this.#layout.paths(piece);
    const named = paths.filter((path) => message.includes(path.toString()));
    for (const path of named.length > 0 ? named : paths) this.refused(path, 'cannot be read');
  }

  refused(path: Buffer, reason: string): void {
    this.#reasons.set(path.toString('latin1'), { path, reason });
  }

  sources(): DamagedSource[] {
    const wrong = [...this.#wrong].filter(([key]) => !this.#reasons.has(key));
    return [
      ...this.#reasons.values(),
      ...wrong.map(([, { path, file, pieces, count }]) => ({
        path,
        reason: count === 1 ? 'does not hold the bytes of a piece' : `does not hold the bytes of ${count} pieces`,
        hashed: { pieces, file },
      })),
    ];
  }
}
