/** Has the parts of a piece read and hashed by a thread, some at a time, so that no piece needs more than a few descriptors. */
import { messageOf } from '../../errors.ts';
import { isOutOfDescriptors } from '../../native/descriptor-budget.ts';
import type { FileIdentity } from '../../source/identity.ts';
import type { SourceFile } from '../../source/source-file.ts';
import type { Segment } from './messages.ts';
import type { PieceBuffers } from './piece-buffers.ts';
import type { Part } from './piece-parts.ts';
import type { HashSession, HashThreads } from './threads.ts';
import type { KnownTorrent } from './torrents.ts';

/** Files that are held open for one step. */
const STEP_FILES = 64;

export interface PieceToHash {
  readonly entry: number;
  readonly piece: number;
  readonly torrent: KnownTorrent;
  readonly parts: readonly Part[];
  /** A reader waits for it. */
  readonly awaited: boolean;
}

export interface HashTools {
  readonly threads: HashThreads;
  readonly buffers: PieceBuffers;
  readonly metainfo: (infoHash: string) => Uint8Array | undefined;
  /** Finds the file that serves a source. @throws EIO */
  readonly serve: (source: number) => Promise<SourceFile>;
}

export interface HashedPiece {
  readonly agrees: boolean;
  /** The piece, if it agrees and is not too large to be kept. */
  readonly bytes: Buffer | undefined;
  /** The file that each source was read from. */
  readonly files: ReadonlyMap<number, SourceFile>;
  /** The sources whose files changed while they were read. */
  readonly changed: ReadonlySet<number>;
  /** What could not be read. */
  readonly unreadable:
    | { readonly source: number | undefined; readonly reason: string; readonly isEnd: boolean }
    | undefined;
  /** The latest doubt of its sources. */
  readonly doubt: number;
}

/** Thrown if a source of the piece is not served. */
export class SourceFailure extends Error {
  readonly source: number;

  constructor(source: number, message: string) {
    super(message);
    this.source = source;
  }
}

/** An open file for a step, and its end. */
interface Held {
  readonly fd: number;
  readonly release: () => void;
}

/** Hashes a piece by its parts. @throws SourceFailure; Error if the thread fails */
export async function hashParts(tools: HashTools, piece: PieceToHash): Promise<HashedPiece> {
  const length = piece.parts.reduce((sum, part) => sum + part.length, 0);
  const memory = tools.buffers.take(length);
  let kept = false;
  try {
    const { agrees, ...found } = await new PartsHashing(tools, piece, length, memory).run();
    if (!agrees || memory === undefined) return { ...found, agrees, bytes: undefined };
    kept = true;
    return { ...found, agrees, bytes: tools.buffers.keep(piece.entry, piece.piece, memory, length) };
  } finally {
    if (memory !== undefined && !kept) tools.buffers.giveBack(memory);
  }
}

class PartsHashing {
  readonly #tools: HashTools;
  readonly #piece: PieceToHash;
  readonly #length: number;
  readonly #memory: SharedArrayBuffer | undefined;
  readonly #files = new Map<number, SourceFile>();
  readonly #standings = new Map<number, FileIdentity>();
  readonly #changed = new Set<number>();
  #doubt = 0;

  constructor(tools: HashTools, piece: PieceToHash, length: number, memory: SharedArrayBuffer | undefined) {
    this.#tools = tools;
    this.#piece = piece;
    this.#length = length;
    this.#memory = memory;
  }

  async run(): Promise<Omit<HashedPiece, 'bytes'>> {
    const { parts } = this.#piece;
    const [files, changed] = [this.#files, this.#changed];
    // Before it takes a thread: opening a file may take long.
    let held = await this.#open(0);
    const session = await this.#begin().catch((error: unknown) => {
      for (const each of held) each.release();
      throw error;
    });
    try {
      for (let at = 0; ; ) {
        const segments = held.map((each, i) => this.#segment(parts[at + i]!, each));
        const last = at + held.length === parts.length;
        const answer = await session.step(segments, last);
        for (const i of answer.changed) this.#noteChanged(parts[at + i]!);
        if (answer.failed !== undefined) {
          const part = parts[at + answer.failed.segment]!;
          const source = part.kind === 'source' ? part.source : undefined;
          const { message: reason, isEnd } = answer.failed;
          const unreadable = { source, reason, isEnd };
          return { files, changed, unreadable, agrees: false, doubt: this.#doubt };
        }
        if (last) {
          return { files, changed, unreadable: undefined, agrees: answer.agrees === true, doubt: this.#doubt };
        }
        at += held.length;
        for (const each of held) each.release();
        held = [];
        held = await this.#open(at);
      }
    } finally {
      for (const each of held) each.release();
      await session.end();
    }
  }

  async #begin(): Promise<HashSession> {
    const { torrent, piece, awaited } = this.#piece;
    const [first] = this.#files.values();
    const hashing = {
      torrent: torrent.infoHash,
      metainfo: () => this.#tools.metainfo(torrent.infoHash),
      piece,
      length: this.#length,
      buffer: this.#memory,
    };
    const [session] = await this.#tools.threads.begin([hashing], { device: first?.identity.dev ?? 0, awaited });
    return session!;
  }

  /** Opens the files of the next parts, one for each part. */
  async #open(from: number): Promise<Held[]> {
    const parts = this.#piece.parts.slice(from, from + STEP_FILES);
    const opened = await Promise.allSettled(parts.map(async (part) => await this.#hold(part)));
    const held = opened.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    const failed = opened.find((each) => each.status === 'rejected');
    if (failed === undefined) return held;
    for (const each of held) each.release();
    throw failed.reason;
  }

  async #hold(part: Part): Promise<Held> {
    if (part.kind === 'zeros') return { fd: -1, release() {} };
    if (part.kind === 'written') return holdWritten(part.overlay);
    const file = await this.#served(part.source);
    file.begin();
    // A file that changes between two steps has had no proof.
    if ((this.#standings.get(part.source) ?? file.standing) !== file.standing) this.#changed.add(part.source);
    this.#standings.set(part.source, file.standing);
    this.#files.set(part.source, file);
    this.#doubt = Math.max(this.#doubt, file.doubt);
    return { fd: file.fd, release: () => file.done() };
  }

  async #served(source: number): Promise<SourceFile> {
    try {
      return await this.#tools.serve(source);
    } catch (error) {
      throw isOutOfDescriptors(error) ? error : new SourceFailure(source, messageOf(error));
    }
  }

  #segment(part: Part, { fd }: Held): Segment {
    if (part.kind === 'zeros') return { offset: 0, length: part.length };
    const { offset, length } = part;
    if (part.kind === 'written') return { fd, offset, length };
    const standing = this.#standings.get(part.source);
    return { fd, offset, length, ...(standing === undefined ? {} : { standing }) };
  }

  #noteChanged(part: Part): void {
    if (part.kind === 'source') this.#changed.add(part.source);
  }
}

/** Keeps an overlay file open. @throws file errors of the disk */
async function holdWritten(overlay: Extract<Part, { kind: 'written' }>['overlay']): Promise<Held> {
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  return await new Promise<Held>((resolve, reject) => {
    overlay
      .during(async (fd) => {
        resolve({ fd, release });
        await released;
      })
      .catch(reject);
  });
}
