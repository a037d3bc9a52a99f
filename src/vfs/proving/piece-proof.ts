/**
 * Proves one piece: hashes it as it is now, as it was planned, with spares; and waits for what settles the cases of its
 * sources, one after the other.
 */
import { isOutOfDescriptors } from '../../native/descriptor-budget.ts';
import { SETTLING_MS } from '../../source/source-changes.ts';
import type { SourceFile } from '../../source/source-file.ts';
import { type HashedPiece, hashParts, SourceFailure } from './hash-parts.ts';
import { type PieceParts, partsOf } from './piece-parts.ts';
import { type Proof, type ProofTools, proofOf, servedForProof } from './proof.ts';
import { spansOf } from './spans.ts';
import type { KnownTorrent } from './torrents.ts';

/** Attempts at a piece whose files change while they are read, or are replaced by spares. */
const ATTEMPTS = 6;
/** Sources of a piece that are replaced by their spares, one at a time, if the piece is wrong. */
const MOST_REPLACED = 8;
interface Wanted {
  readonly entry: number;
  readonly piece: number;
  readonly torrent: KnownTorrent;
  readonly awaited: boolean;
}

/** Why a piece was not proven, and which sources may be to blame. */
interface Wrong {
  readonly reason: string;
  readonly sources: ReadonlySet<number>;
  /** The sources were read, and have other bytes. */
  readonly isContent: boolean;
}

type Attempt = { readonly proof: Proof } | { readonly wrong: Wrong };

export class PieceProof {
  readonly #options: ProofTools;

  constructor(options: ProofTools) {
    this.#options = options;
  }

  async prove(wanted: Wanted): Promise<Proof> {
    const { sources } = this.#options;
    const until = performance.now() + SETTLING_MS;
    for (;;) {
      const attempt = await this.#attempt(wanted);
      if ('proof' in attempt) return attempt.proof;
      const { reason, sources: blamed, isContent } = attempt.wrong;
      if (isContent) sources.noteWrong([...blamed], wanted.piece);
      const left = until - performance.now();
      // Nobody waits for a piece that is hashed ahead. Whoever asks for it next does.
      if (!wanted.awaited || !(await sources.settled([...blamed], left))) {
        return { state: 'failed', reason, sources: blamed };
      }
    }
  }

  async #attempt(wanted: Wanted): Promise<Attempt> {
    const spans = spansOf(wanted.torrent.layout, wanted.piece);
    const now = await partsOf(this.#options.store, wanted.entry, spans, false);
    if (now === undefined) return { proof: { state: 'as it is' } };
    let attempt: Attempt;
    try {
      attempt = await this.#hashed(wanted, now);
    } finally {
      now.release();
    }
    if ('proof' in attempt || !now.written) return attempt;
    // A client is writing the piece: what is mapped of it may be right all the same.
    const planned = await partsOf(this.#options.store, wanted.entry, spans, true);
    return planned === undefined ? { proof: { state: 'as it is' } } : await this.#hashed(wanted, planned);
  }

  async #hashed(wanted: Wanted, { parts }: PieceParts): Promise<Attempt> {
    const { sources, onHashed } = this.#options;
    /** Spares that replace sources which cannot be read. */
    const instead = new Map<number, SourceFile>();
    let wrong: Wrong = { reason: 'its files go on changing', sources: new Set(), isContent: false };
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const hashed = await this.#hash(wanted, parts, instead);
      if ('wrong' in hashed) return hashed;
      onHashed();
      if (hashed.agrees) return { proof: proofOf(this.#options, wanted, hashed) };
      const { unreadable, changed, files } = hashed;
      wrong = this.#blamed(wanted, hashed);
      if (changed.size > 0) {
        // The next attempt finds them as they are now, or not at all.
        for (const id of changed) await sources.serve(id, true).catch(() => {});
      } else if (unreadable?.source !== undefined && !unreadable.isEnd) {
        const { source, reason } = unreadable;
        const failed = files.get(source);
        if (failed === undefined) return { wrong };
        try {
          instead.set(source, await sources.replace(source, failed, reason));
        } catch (error) {
          if (isOutOfDescriptors(error)) throw error;
          return { wrong };
        }
      } else break;
    }
    return (await this.#withSpares(wanted, parts, instead)) ?? { wrong };
  }

  async #hash(
    { entry, piece, torrent, awaited }: Wanted,
    parts: PieceParts['parts'],
    instead: ReadonlyMap<number, SourceFile>,
  ): Promise<HashedPiece | { readonly wrong: Wrong }> {
    const { store, sources, threads, buffers } = this.#options;
    try {
      return await hashParts(
        {
          threads,
          buffers,
          metainfo: (infoHash) => store.metainfo(infoHash),
          serve: async (source) =>
            await servedForProof(async () => {
              const spare = instead.get(source);
              return spare === undefined || spare.closed ? await sources.serve(source) : spare;
            }),
        },
        { entry, piece, torrent, parts, awaited },
      );
    } catch (error) {
      if (!(error instanceof SourceFailure)) throw error;
      return { wrong: { reason: error.message, sources: new Set([error.source]), isContent: false } };
    }
  }

  /** Names the sources that may be to blame: those that are doubted, or all if none is. */
  #blamed({ piece }: Wanted, { files, unreadable, changed }: HashedPiece): Wrong {
    const doubted = [...files].filter(([id, file]) => file.doubt > 0 && file.id === id);
    const blamed = doubted.length > 0 ? doubted : [...files];
    const sources = new Set(unreadable?.source === undefined ? blamed.map(([id]) => id) : [unreadable.source]);
    const isContent = changed.size === 0 && unreadable?.isEnd !== false;
    return { sources, isContent, reason: unreadable?.reason ?? `it does not have the bytes of piece ${piece}` };
  }

  /** Tries the spares of the sources, one source at a time. */
  async #withSpares(
    wanted: Wanted,
    parts: PieceParts['parts'],
    instead: ReadonlyMap<number, SourceFile>,
  ): Promise<Attempt | undefined> {
    const { sources, onHashed } = this.#options;
    const ids = new Set(parts.flatMap((part) => (part.kind === 'source' ? [part.source] : [])));
    for (const id of [...ids].slice(0, MOST_REPLACED)) {
      const spare = await sources.spareOf(id, instead.get(id)?.id);
      if (spare === undefined) continue;
      const hashed = await this.#hash(wanted, parts, new Map([...instead, [id, spare]]));
      if ('wrong' in hashed) continue;
      onHashed();
      if (!hashed.agrees || hashed.bytes === undefined) continue;
      sources.noteWrong([id], wanted.piece);
      return { proof: proofOf(this.#options, wanted, hashed) };
    }
    return undefined;
  }
}
