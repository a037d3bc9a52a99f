/**
 * Proves pieces: hashes what their sources have now, and serves the very bytes that were hashed.
 *
 * Glossary. A source is *doubted* since an *epoch* (`docs/sources.md`). A piece is *proven* at an epoch once its hashes
 * agreed with what its sources had then; it may be read from a source whose doubt is not younger, without another hash.
 *
 * Invariants:
 * - Nothing is hashed here: threads do. Readers of one piece wait for one hash.
 * - A proof is recorded only if every file was the same before the first and after the last byte that was read of it,
 *   and every source was read from the file that its condition is about: not from a spare, nor from one that was replaced and
 *   is still open. The bytes themselves are right in any case.
 * - A piece with a gap cannot be proven, and no client claims it: what is mapped of it is served as it is.
 */
import { messageOf, PosixError } from '../../errors.ts';
import type { Extent } from '../../extent/extent.ts';
import type { SourceFiles } from '../../source/served-sources.ts';
import type { MappedContent } from '../../store/overlay/content.ts';
import type { Store } from '../../store/store.ts';
import { PieceBuffers } from './piece-buffers.ts';
import { PieceProof } from './piece-proof.ts';
import { PlainPieces } from './plain-pieces.ts';
import type { Proof, ProofTools } from './proof.ts';
import { ReadAhead } from './read-ahead.ts';
import { HashThreads } from './threads.ts';
import { Torrents } from './torrents.ts';

/** Milliseconds for which a piece that failed is not hashed again, unless something changes. */
const FAILED_MS = 10_000;
const MOST_FAILED = 1000;

export type ProvingStore = Pick<Store, 'bytes' | 'entryById' | 'metainfo' | 'plannedFile'> & {
  readonly living: Pick<Store['living'], 'condition' | 'provenAt' | 'prove'>;
};

export interface ProvingOptions {
  readonly store: ProvingStore;
  readonly sources: SourceFiles;
}

interface Failure {
  readonly reason: string;
  /** The doubt of the reader that met it. A later doubt is another case. */
  readonly doubt: number;
  readonly sources: ReadonlySet<number>;
  readonly at: number;
}

/** The hash of a piece that is running. */
interface Running {
  readonly proof: Promise<Proof>;
  /** It goes on until the case of its sources is settled. */
  readonly awaited: boolean;
}

/** Adjacent bytes of a mapped file that one source has, or spares of it. */
export interface DoubtedRange {
  readonly content: MappedContent;
  readonly extent: Extent;
  /** The epoch since which the source is doubted. */
  readonly doubt: number;
}

export class Proving {
  readonly #store: ProvingStore;
  readonly #threads = new HashThreads(() => this.#buffers.clear());
  readonly #buffers = new PieceBuffers();
  readonly #torrents: Torrents;
  readonly #pieces: PieceProof;
  readonly #plain: PlainPieces;
  readonly #ahead: ReadAhead;
  readonly #running = new Map<string, Running>();
  readonly #failed = new Map<string, Failure>();
  readonly #unwatch: () => void;
  /** Pieces that were hashed since the start. */
  hashed = 0;

  constructor({ store, sources }: ProvingOptions) {
    this.#store = store;
    this.#torrents = new Torrents(store, this.#threads);
    const [threads, buffers] = [this.#threads, this.#buffers];
    const tools: ProofTools = { store, sources, threads, buffers, onHashed: () => this.hashed++ };
    this.#pieces = new PieceProof(tools);
    this.#plain = new PlainPieces(tools);
    this.#ahead = new ReadAhead({
      wants: (content, piece, doubt) => this.#wants(content.entry, piece, doubt),
      prove: (content, pieces) => this.#begin(content, pieces, false),
    });
    this.#unwatch = sources.onChanged((ids) => this.#forgetFailures(ids));
  }

  /** Copies what is at hand of hashed bytes into `buffer`. Returns the number of bytes, from the beginning of the range. */
  copyAtOnce({ content, extent, doubt }: DoubtedRange, buffer: Buffer, offset: number): number {
    const known = this.#knownStart(content, extent);
    if (known === undefined) return 0;
    const { start, pieceLength } = known;
    let done = 0;
    while (done < extent.length) {
      const piece = Math.floor((start + done) / pieceLength);
      const bytes = this.#buffers.get(content.entry, piece);
      if (bytes === undefined) break;
      const from = start + done - piece * pieceLength;
      const length = Math.min(extent.length - done, pieceLength - from);
      bytes.copy(buffer, offset + done, from, from + length);
      this.#ahead.served(content, piece, { doubt, pieceLength, start: start - extent.offset });
      done += length;
    }
    return done;
  }

  /** Notes that a proven range is being read, so that the pieces that follow are hashed before a reader gets there. */
  follow({ content, extent, doubt }: DoubtedRange): void {
    const known = this.#knownStart(content, extent);
    if (known === undefined) return;
    const { start, pieceLength } = known;
    const last = Math.floor((start + extent.length - 1) / pieceLength);
    this.#ahead.served(content, last, { doubt, pieceLength, start: start - extent.offset });
  }

  /** Reports whether all pieces of a range were proven, as far as that is known without waiting. */
  isProven({ content, extent, doubt }: DoubtedRange): boolean {
    const known = this.#knownStart(content, extent);
    if (known === undefined) return false;
    const { start, pieceLength } = known;
    const last = Math.floor((start + extent.length - 1) / pieceLength);
    for (let piece = Math.floor(start / pieceLength); piece <= last; piece++) {
      if (this.#store.living.provenAt(content.entry, piece) < doubt) return false;
    }
    return true;
  }

  /**
   * Copies hashed bytes of a doubted range into `buffer`. `asItIs` reads the parts of it that are proven already, and those
   * that nobody can prove; it returns false if it could not, which ends this call.
   * @throws EIO if the sources do not have the bytes of a piece
   */
  async read(
    range: DoubtedRange,
    buffer: Buffer,
    offset: number,
    asItIs: (part: Extent, offset: number) => Promise<boolean>,
  ): Promise<void> {
    const { content, extent, doubt } = range;
    const torrent = await this.#torrents.of(content.entry).catch(() => undefined);
    const fileStart = torrent === undefined ? undefined : await this.#torrents.startOf(content, torrent);
    if (torrent === undefined || fileStart === undefined) {
      throw new PosixError('EIO', 'a source changed, and there is no hash to check it by');
    }
    const start = fileStart + extent.offset;
    const { pieceLength } = torrent;
    for (let done = 0; done < extent.length; ) {
      const piece = Math.floor((start + done) / pieceLength);
      const from = start + done - piece * pieceLength;
      const length = Math.min(extent.length - done, pieceLength - from);
      const proof = await this.#proof(content, piece, doubt);
      if (proof.state === 'failed') throw new PosixError('EIO', proof.reason);
      if (proof.state === 'proven' && proof.bytes !== undefined) {
        proof.bytes.copy(buffer, offset + done, from, from + length);
      } else {
        const part = { offset: extent.offset + done, length, source: extent.source };
        if (!(await asItIs({ ...part, sourceOffset: extent.sourceOffset + done }, offset + done))) return;
      }
      this.#ahead.served(content, piece, { doubt, pieceLength, start: start - extent.offset });
      done += length;
    }
  }

  /** The offset of a range in the torrent, if that is known without waiting. */
  #knownStart(content: MappedContent, { offset }: Extent): { start: number; pieceLength: number } | undefined {
    const fileStart = this.#torrents.knownStart(content);
    const pieceLength = this.#torrents.known(content.entry)?.pieceLength;
    return fileStart === undefined || pieceLength === undefined
      ? undefined
      : { start: fileStart + offset, pieceLength };
  }

  async #proof(content: MappedContent, piece: number, doubt: number): Promise<Proof> {
    const { entry } = content;
    const bytes = this.#buffers.get(entry, piece);
    if (bytes !== undefined) return { state: 'proven', bytes };
    if (this.#store.living.provenAt(entry, piece) >= doubt) return { state: 'proven', bytes: undefined };
    const failure = this.#failed.get(keyOf(entry, piece));
    if (failure !== undefined && failure.doubt >= doubt && performance.now() - failure.at < FAILED_MS) {
      return { state: 'failed', reason: failure.reason, sources: failure.sources };
    }
    const proof = await this.#prove(content, piece);
    if (proof.state === 'failed') this.#noteFailure(entry, piece, doubt, proof.reason, proof.sources);
    return proof;
  }

  /** Joins the hash that is running for a piece, or begins one. Never rejects. */
  async #prove(content: MappedContent, piece: number): Promise<Proof> {
    const key = keyOf(content.entry, piece);
    for (;;) {
      if (!this.#running.has(key)) this.#begin(content, [piece], true);
      const running = this.#running.get(key)!;
      const proof = await running.proof;
      // One that was hashed ahead has not waited for its case to be settled.
      if (proof.state !== 'failed' || running.awaited) return proof;
    }
  }

  /** Begins to hash pieces of a file which nobody hashes. */
  #begin(content: MappedContent, pieces: readonly number[], awaited: boolean): void {
    const { entry } = content;
    const torrent = this.#torrents.known(entry);
    const start = this.#torrents.knownStart(content);
    const plain =
      torrent === undefined || start === undefined
        ? undefined
        : this.#plain.prove({ content, torrent, start, pieces, awaited });
    for (const piece of pieces) this.#run(entry, piece, awaited, plain?.get(piece));
  }

  #run(entry: number, piece: number, awaited: boolean, plain?: Promise<Proof | undefined>): void {
    const key = keyOf(entry, piece);
    const proof = this.#proveOne(entry, piece, awaited, plain).finally(() => this.#running.delete(key));
    this.#running.set(key, { proof, awaited });
  }

  async #proveOne(
    entry: number,
    piece: number,
    awaited: boolean,
    plain: Promise<Proof | undefined> | undefined,
  ): Promise<Proof> {
    try {
      const proof = await plain;
      if (proof !== undefined) return proof;
      const torrent = await this.#torrents.of(entry);
      if (torrent === undefined) return { state: 'failed', reason: 'its torrent is gone', sources: new Set() };
      return await this.#pieces.prove({ entry, piece, torrent, awaited });
    } catch (error) {
      return { state: 'failed', reason: messageOf(error), sources: new Set() };
    }
  }

  #noteFailure(entry: number, piece: number, doubt: number, reason: string, sources: ReadonlySet<number>): void {
    if (this.#failed.size >= MOST_FAILED) this.#failed.clear();
    this.#failed.set(keyOf(entry, piece), { reason, doubt, sources, at: performance.now() });
  }

  #forgetFailures(ids: readonly number[]): void {
    if (this.#failed.size === 0) return;
    for (const [key, { sources }] of this.#failed) {
      if (sources.size === 0 || ids.some((id) => sources.has(id))) this.#failed.delete(key);
    }
  }

  /** Reports whether a piece is worth being hashed before somebody asks for it. */
  #wants(entry: number, piece: number, doubt: number): boolean {
    const key = keyOf(entry, piece);
    const pieceLength = this.#torrents.known(entry)?.pieceLength ?? Number.POSITIVE_INFINITY;
    return (
      !this.#running.has(key) &&
      !this.#failed.has(key) &&
      this.#store.living.provenAt(entry, piece) < doubt &&
      this.#buffers.get(entry, piece) === undefined &&
      this.#buffers.hasRoom(pieceLength)
    );
  }

  close(): void {
    this.#unwatch();
    this.#threads.close();
    this.#buffers.clear();
  }
}

function keyOf(entry: number, piece: number): string {
  return `${entry} ${piece}`;
}
