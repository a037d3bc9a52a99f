/** The messages between the server and the threads that hash pieces. */
import type { FileIdentity } from '../../source/identity.ts';

/** What the server needs of a torrent to find the bytes of its pieces: the files of its piece space, in order. */
export interface Layout {
  /** Bytes. */
  readonly pieceLength: number;
  readonly pieceCount: number;
  /** For each file its first byte in the piece space (`TorrentFile.offset`). */
  readonly offsets: Float64Array;
  readonly lengths: Float64Array;
}

/** Asks for the layout of a torrent. The thread keeps the torrent for the steps that follow. */
export interface LayoutQuestion {
  readonly kind: 'layout';
  readonly torrent: string;
  readonly metainfo: Uint8Array;
}

/** Adjacent bytes of a piece: of an open file, or zeros. */
export interface Segment {
  /** Absent: zeros. */
  readonly fd?: number;
  readonly offset: number;
  /** Bytes; never 0. */
  readonly length: number;
  /** What the file was before: compared before the first and after the last byte. Absent for files of our own. */
  readonly standing?: FileIdentity;
}

/** Reads the next segments of a piece, and hashes them. All steps of a piece go to one thread. */
export interface Step {
  readonly kind: 'step';
  /** Names the piece's hashing in its thread. */
  readonly session: number;
  readonly torrent: string;
  readonly piece: number;
  /** Bytes of the whole piece. */
  readonly length: number;
  readonly segments: readonly Segment[];
  readonly last: boolean;
  /** Takes the bytes, at their place in the piece. Absent: they are hashed and not kept. The same in all steps. */
  readonly buffer?: SharedArrayBuffer | undefined;
}

/** Ends a session before its last step. */
export interface Abandon {
  readonly kind: 'abandon';
  readonly session: number;
}

export type Question = LayoutQuestion | Step | Abandon;

/** A question, and its answer with the same number. Threads are asked, and answer, some at a time: lists of these are sent. */
export interface Asked {
  readonly id: number;
  readonly question: Question;
}
export interface Answered {
  readonly id: number;
  readonly answer: Answer;
}

export interface StepAnswer {
  /** Indices of the segments whose file was another before, or is another since. */
  readonly changed: readonly number[];
  /** The segment that could not be read, and why; `isEnd`: its file is too short. The session has ended. */
  readonly failed?: { readonly segment: number; readonly message: string; readonly isEnd: boolean };
  /** After the last step: whether all hashes of the piece agree. */
  readonly agrees?: boolean;
  /** The thread does not have the torrent, and wants it first: nothing was read. */
  readonly needsMetainfo?: true;
}

export type Answer = { readonly layout: Layout } | { readonly step: StepAnswer } | { readonly error: string };
