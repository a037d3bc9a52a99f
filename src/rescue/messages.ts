/** The messages between the server and the threads that keep files. Paths and names are byte strings. */
import type { FileIdentity } from '../source/identity.ts';
import type { Readers } from '../source/readers.ts';
import type { KeptRange, NotKept, PinKind } from './kept-files.ts';

/** The state for which files are kept. */
export interface StateNamed {
  readonly id: string;
  readonly path: string;
  /** Its pins are meant, not what is kept when it would be lost. */
  readonly pins?: true;
}

/** Where a kept file is: `PLACE/.autotorrent/kept-<id>/FOLDER/NAME`, or `pins-<id>`. */
export interface KeptAt {
  /** A folder of a disk, or the pool. */
  readonly place: string;
  readonly folder: string;
  readonly name: string;
}

/** A kept file that was found, and the bytes that it takes on the disk. */
export interface KeptFound extends KeptAt {
  readonly bytes: number;
}

/** Where files are kept, and how much: the same for all requests of a message. */
export interface KeepRules {
  /** The folders that hold sources. */
  readonly folders: readonly string[];
  readonly pool: string;
  /** Folders below which nothing may be touched. */
  readonly released: readonly string[];
  readonly state: StateNamed;
  readonly limit: number;
  readonly total: number;
  /** The bytes that are kept in each place that was looked at. The thread counts what it keeps of a message. */
  readonly kept: Map<string, number>;
}

export interface KeepRequest {
  readonly kind: 'keep';
  readonly fd: number;
  /** The name of the folder that is made for it. */
  readonly folder: string;
  readonly path: string;
  readonly identity: FileIdentity;
  readonly ranges: readonly KeptRange[];
  readonly readers: Readers;
  /** It is a pin. */
  readonly pin?: PinKind | undefined;
  /** `ToKeep.until`. */
  readonly until?: number | undefined;
  readonly rules: KeepRules;
}

export type Request =
  | KeepRequest
  | { readonly kind: 'sync'; readonly at: KeptAt; readonly state: StateNamed }
  | { readonly kind: 'drop'; readonly at: KeptAt; readonly state: StateNamed }
  | { readonly kind: 'trim'; readonly at: KeptAt; readonly state: StateNamed; readonly ranges: readonly KeptRange[] }
  | { readonly kind: 'missing'; readonly place: string; readonly state: StateNamed; readonly files: readonly KeptAt[] }
  | { readonly kind: 'clean'; readonly place: string; readonly state: StateNamed };

/** All that is kept in a place. */
export interface KeptListed {
  readonly place: string;
  readonly files: readonly KeptFound[];
}

/** What became of a file that was to be kept. `listed`: of a place that is not in `kept`. */
export type KeepAnswer = { readonly listed?: KeptListed } & (
  | {
      readonly kind: 'kept';
      readonly at: KeptFound;
      readonly identity: FileIdentity;
      readonly shared: boolean;
      readonly missing: number;
      readonly unwritten?: boolean;
      readonly original?: FileIdentity;
      /** Why it was not kept on the disk of the source, if it was not. */
      readonly pooled?: string;
    }
  /** There is no room for so many bytes in a place. */
  | { readonly kind: 'over'; readonly place: string; readonly bytes: number }
  | { readonly kind: 'not kept'; readonly why: NotKept; readonly says: string }
);

export interface CleanAnswer {
  readonly files: readonly KeptFound[];
  /** Files of lost states that were moved to be found. */
  readonly moved: number;
}

/** By the request's kind. `trim` tells the bytes that are left, `missing` the files that are not there, the others nothing. */
export interface Answers {
  readonly keep: KeepAnswer;
  readonly sync: undefined;
  readonly drop: undefined;
  readonly trim: number;
  readonly missing: readonly KeptAt[];
  readonly clean: CleanAnswer;
}

/** What one turn of the event loop asks for is one message. */
export interface Asked {
  readonly question: number;
  readonly request: Request;
}

export type Answered = { readonly question: number } & (
  | { readonly answer: Answers[keyof Answers] }
  | { readonly error: string }
);
