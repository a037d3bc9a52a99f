/**
 * Bounds a plan by what its torrent can need. The metainfo comes first in a plan: what it announces bounds the rest, before any of
 * it is kept.
 */
import { AutotorrentError } from '../errors.ts';
import { MAX_FILES } from '../metainfo/listed-file.ts';
import { MAX_PIECES } from '../metainfo/parse.ts';

export interface PlanBounds {
  readonly files: number;
  readonly pieces: number;
  readonly sources: number;
  /** Of one source. */
  readonly spares: number;
  /** Of one file; and of all of them. */
  readonly extentsOfFile: number;
  readonly extents: number;
  /** Of the encoded plan. */
  readonly bytes: number;
}

/** What the metainfo of a torrent announces. */
export interface Announced {
  /** Bytes of the .torrent. */
  readonly bytes: number;
  /** Files at most: each takes a dictionary. */
  readonly dictionaries: number;
}

/** The shortest hash of a piece in a .torrent. */
const HASH_BYTES = 20;
const SPARES = 64;
/** An extent takes about a hundred bytes while its file is read. */
const EXTENTS_OF_FILE = 2_000_000;
/** Beside what grows with files and pieces: the volumes of archives, whose number the torrent does not tell. */
const VOLUMES = 1_000_000;
const MiB = 1024 * 1024;

export function boundsOf({ bytes, dictionaries }: Announced): PlanBounds {
  const files = Math.min(MAX_FILES, dictionaries);
  const pieces = Math.min(MAX_PIECES, Math.floor(bytes / HASH_BYTES));
  const parts = 8 * files + 4 * pieces + VOLUMES;
  return {
    files,
    pieces,
    sources: parts,
    spares: SPARES,
    extentsOfFile: EXTENTS_OF_FILE,
    extents: parts,
    bytes: 256 * MiB + 4 * bytes + 1024 * files,
  };
}

/** For a plan that is in memory as a whole. */
export const NO_BOUNDS: PlanBounds = {
  files: Number.MAX_SAFE_INTEGER,
  pieces: Number.MAX_SAFE_INTEGER,
  sources: Number.MAX_SAFE_INTEGER,
  spares: Number.MAX_SAFE_INTEGER,
  extentsOfFile: Number.MAX_SAFE_INTEGER,
  extents: Number.MAX_SAFE_INTEGER,
  bytes: Number.MAX_SAFE_INTEGER,
};

/** The plan has more of something than its torrent can need. */
export function overBounds(what: string, count: number, most: number): AutotorrentError {
  return new AutotorrentError('TORRENT', `its plan has ${count} ${what}, and no more than ${most} are taken`, {
    hint: 'The torrent is too large, or the plan was not made for it.',
  });
}
