/** Turns the pieces of an entry, as it is now, into questions to the hash pool. */
import type { ServedExtent, ServedFile } from '../control/served.ts';
import type { HashSegment } from '../hash/hash-pool.ts';
import { type PieceCheck, pieceCheck } from '../hash/piece-check.ts';
import type { Metainfo, PieceSpan } from '../metainfo/metainfo.ts';
import { pieceHashes } from '../metainfo/piece-hashes.ts';
import type { FileIdentity } from '../source/identity.ts';
import { lookAtSource } from '../source/open-source.ts';
import type { SourceAccess } from '../source/source-access.ts';

export class EntryLayout {
  /** One sentence for each file that cannot be read. */
  readonly unreadable = new Set<string>();
  /** The sources that cannot be opened, each with the reason: a predicate. */
  readonly refused = new Map<string, { readonly path: Buffer; readonly reason: string }>();
  readonly #metainfo: Metainfo;
  readonly #files: readonly ServedFile[];
  readonly #access: SourceAccess;
  readonly #identities = new Map<string, FileIdentity | undefined>();

  constructor(metainfo: Metainfo, files: readonly ServedFile[], access: SourceAccess) {
    this.#access = access;
    this.#metainfo = metainfo;
    this.#files = files;
  }

  /** Gives one or two checks of a piece (see `pieceHashes`). Undefined if nothing supplies some of its bytes. */
  checks(piece: number): PieceCheck[] | undefined {
    const checks: PieceCheck[] = [];
    for (const hash of pieceHashes(this.#metainfo, piece)) {
      const segments = this.#segments(hash.spans);
      if (segments === undefined) return undefined;
      checks.push(pieceCheck(hash, segments));
    }
    if (checks.length === 0) throw new Error(`piece ${piece} has no hash`);
    return checks;
  }

  /** Lists the paths of the files with bytes of a piece, without a look at them. */
  paths(piece: number): Buffer[] {
    const paths = new Map<string, Buffer>();
    for (const { spans } of pieceHashes(this.#metainfo, piece)) {
      for (const span of spans) {
        for (const { source: path } of this.#extentsOf(span)) {
          if (path !== undefined) paths.set(path.toString('latin1'), path);
        }
      }
    }
    return [...paths.values()];
  }

  /**
   * Lists the files that a piece points to if it does not agree, as they were hashed. None if a client has written a part of it:
   * it may not have written the rest yet, and checks the piece itself.
   */
  suspects(piece: number): { readonly path: Buffer; readonly file: FileIdentity }[] {
    const extents = pieceHashes(this.#metainfo, piece).flatMap(({ spans }) =>
      spans.flatMap((span) => this.#extentsOf(span)),
    );
    if (extents.some(({ kind }) => kind === 'overlay')) return [];
    return this.paths(piece).flatMap((path) => {
      const file = this.#identities.get(path.toString('latin1'));
      return file === undefined ? [] : [{ path, file }];
    });
  }

  /** Tells if bytes of a piece are missing, and not only out of reach. */
  hasGap(piece: number): boolean {
    return pieceHashes(this.#metainfo, piece).some(({ spans }) =>
      spans.some((span) => this.#extentsOf(span).some(({ kind }) => kind === 'gap')),
    );
  }

  /** Lists the extents with bytes of a span. */
  #extentsOf({ file, offset, length }: PieceSpan): ServedExtent[] {
    return (this.#files[file]?.extents ?? []).filter(
      (extent) => extent.offset < offset + length && extent.offset + extent.length > offset,
    );
  }

  #segments(spans: readonly PieceSpan[]): HashSegment[] | undefined {
    const segments: HashSegment[] = [];
    for (const span of spans) {
      let covered = 0;
      for (const extent of this.#extentsOf(span)) {
        const from = Math.max(extent.offset, span.offset);
        const length = Math.min(extent.offset + extent.length, span.offset + span.length) - from;
        const segment = this.#segment(extent, from - extent.offset, length);
        if (segment === undefined) return undefined;
        segments.push(segment);
        covered += length;
      }
      if (covered < span.length) return undefined;
    }
    return segments;
  }

  #segment(extent: ServedExtent, skip: number, length: number): HashSegment | undefined {
    if (extent.kind === 'zeros') return { zeros: length };
    const { source: path } = extent;
    if (path === undefined) return undefined;
    const key = path.toString('latin1');
    const found = this.#identities.has(key) ? this.#identities.get(key) : this.#identify(path);
    this.#identities.set(key, found);
    return found === undefined ? undefined : { path, identity: found, offset: extent.sourceOffset + skip, length };
  }

  #identify(path: Buffer): FileIdentity | undefined {
    const looked = lookAtSource({ path }, this.#access);
    if (looked.state === 'as recorded') return looked.identity;
    this.unreadable.add(`${path.toString()} ${looked.why.says}`);
    this.refused.set(path.toString('latin1'), { path, reason: looked.why.says });
    return undefined;
  }
}
