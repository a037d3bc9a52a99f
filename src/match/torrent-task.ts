/** The state of a torrent that is being matched: for each file the findings, the candidates left, and the proof. */
import type { CollectionFile } from '../collection/index.ts';
import { normaliseName } from '../collection/names.ts';
import { clearBit, emptyBitfield } from '../extent/bitfield.ts';
import type { HashSegment } from '../hash/hash-pool.ts';
import type { Metainfo, TorrentFile } from '../metainfo/metainfo.ts';
import type { PieceRange } from '../metainfo/piece-layout.ts';
import { refusalCode } from './left-out.ts';
import type { Looker, Source } from './look.ts';
import { MAX_REFUSED, type MatchMode, type Refused, type Supplier } from './match.ts';
import { type PieceShares, sharePieces } from './own-pieces.ts';
import { bytesIn, bytesOfParts, type Part, type Range } from './parts.ts';

/** A candidate before it is looked at. */
export interface Proposal {
  readonly file: CollectionFile;
  readonly mode: MatchMode;
  /** Possible places of its bytes (see `parts.ts`), for files that only shared pieces can prove. Default: shift 0. */
  readonly shift?: number;
}

/** A proposal that was looked at, and is as the index says. */
export interface Chosen extends Source {
  readonly mode: Supplier;
  readonly shift: number;
  /** As the index knows it. Absent for sources that no mode proposed. */
  readonly file?: CollectionFile;
}

export interface Failure {
  readonly code: 'no-candidate' | 'not-in-release' | 'limit' | Refused['code'];
  readonly reason: string;
}

/** Candidates tried for one file: each may cost reading pieces. */
const MAX_TRIED = 32;

const NONE_REFUSED: readonly Refused[] = [];

export class FileTask {
  readonly torrent: TorrentTask;
  readonly file: TorrentFile;
  readonly own: PieceRange;
  /** The file's name, normalised. */
  readonly name: string;
  /** Normalised names of its folders, the nearest first; the torrent's own name last. */
  readonly folders: readonly string[];
  #queue: Proposal[] = [];
  /** Candidates after the queue's, ranked when they are needed: most files take their first. */
  #later: (() => readonly Proposal[]) | undefined;
  current: Chosen | undefined;
  /** True if own pieces were hashed as far as the verify level asks for, or there are none. */
  judged = false;
  /** `full`: the source of each own piece that is proven. Absent until one is. */
  owners: (Chosen | undefined)[] | undefined;
  /** Hash modes: the proven parts, unless they are one unshifted candidate. `current` supplies most of them. */
  parts: readonly Part[] | undefined;
  /** Hash modes: true if `hash_limit` kept candidates from being tried. */
  limited = false;
  /** Pieces with bytes of this file that agreed. */
  provenPieces = 0;
  /** Shared pieces in which the bytes of this file are not believed; undefined: none. */
  gapPieces: Set<number> | undefined;
  /** Shared pieces of which another source than `sourceOf` says proved this file's bytes; undefined: none. */
  atPiece: Map<number, Chosen> | undefined;
  failure: Failure | undefined;
  /** By path, as latin1; made for the first that is refused. */
  #refused: Map<string, Refused> | undefined;
  /** Bits of the modes that were asked for candidates of this file, by their place in `MATCH_MODES`. */
  asked = 0;
  /** Candidates that `advance` gave up, 32 at most: one may still have the right bytes in a single piece. */
  #past: Chosen[] | undefined;

  constructor(torrent: TorrentTask, file: TorrentFile, own: PieceRange, folders: readonly string[]) {
    this.torrent = torrent;
    this.file = file;
    this.own = own;
    this.name = normaliseName(file.path.at(-1) ?? '');
    this.folders = folders;
  }

  get shown(): string {
    return this.file.path.join('/');
  }

  /** Still to try, the best first. */
  get queue(): readonly Proposal[] {
    this.#rankLater();
    return this.#queue;
  }

  /** Adds candidates, less likely than those before. */
  propose(...proposals: readonly Proposal[]): void {
    this.#rankLater();
    this.#queue.push(...proposals);
  }

  /** Adds a candidate, and others that are ranked only if it is not taken. */
  proposeRanked(first: Proposal, later: () => readonly Proposal[]): void {
    this.propose(first);
    this.#later = later;
  }

  /**
   * Takes the next candidate that is as the index says, preferably one that no other file of the torrent has. False when
   * none is left; `failure` then says why.
   */
  advance(looker: Looker): boolean {
    if (this.current !== undefined) (this.#past ??= []).push(this.current);
    this.#release();
    let shared: { proposal: Proposal; chosen: Chosen } | undefined;
    const later: Proposal[] = [];
    for (let i = 0; ; i++) {
      if (i === this.#queue.length) this.#rankLater();
      const proposal = this.#queue[i];
      if (proposal === undefined) break;
      const chosen = this.#look(proposal, looker);
      if (chosen === undefined) continue;
      if (!this.torrent.taken.has(chosen.inode)) {
        if (shared !== undefined) later.unshift(shared.proposal);
        this.#queue.splice(0, i + 1, ...later);
        this.#take(chosen);
        return true;
      }
      if (shared === undefined) shared = { proposal, chosen };
      else later.push(proposal);
    }
    this.#queue = later;
    if (shared !== undefined) this.#take(shared.chosen);
    return shared !== undefined;
  }

  /** Looks at the next candidates without taking any. */
  alternatives(looker: Looker, most: number): Chosen[] {
    const found: Chosen[] = [];
    const places = new Set<string>();
    for (const proposal of this.queue) {
      if (found.length >= most) break;
      const chosen = this.#look(proposal, looker);
      if (chosen === undefined || chosen.inode === this.current?.inode || places.has(bytesKey(chosen))) continue;
      places.add(bytesKey(chosen));
      found.push(chosen);
    }
    return found;
  }

  /** Candidates that were not taken yet, the likeliest first, then those that were given up. The current one may be among them. */
  get otherProposals(): readonly Proposal[] {
    const past = this.#past?.flatMap(({ file, mode, shift }): Proposal[] =>
      file === undefined || mode === 'archive' ? [] : [{ file, mode, shift }],
    );
    return past === undefined ? this.queue : [...this.queue, ...past];
  }

  /** Looks at a proposal, whether it was taken before or not. */
  look(proposal: Proposal, looker: Looker): Chosen | undefined {
    const source = looker.look(proposal.file);
    if ('refused' in source) {
      const code = refusalCode(source.code);
      this.failure ??= { code, reason: `${proposal.file.path.toString()} ${source.refused}.` };
      this.refuse(proposal.file.path, code);
      return undefined;
    }
    // A spread costs ten times as much, and there may be a million files.
    const { path, identity, inode, seen } = source;
    return { path, identity, inode, seen, mode: proposal.mode, shift: proposal.shift ?? 0, file: proposal.file };
  }

  adopt(chosen: Chosen): void {
    this.#release();
    this.#take(chosen);
  }

  drop(failure: Failure): void {
    this.#release();
    this.failure = failure;
  }

  /** Rejects the current candidate, whose bytes were hashed and are not the file's. */
  reject(reason: string): void {
    this.failure = { code: 'hash-mismatch', reason };
  }

  /** Makes the file unjudged. Only before shared pieces are asked about. */
  forgetProof(): void {
    this.judged = false;
    this.provenPieces = 0;
    for (let i = 0; i < this.own.count; i++) clearBit(this.torrent.verified, this.own.first + i);
  }

  /** Notes that a candidate was not taken. A later reason replaces an earlier one. */
  refuse(source: Buffer, code: Refused['code']): void {
    const key = source.toString('latin1');
    const refused = (this.#refused ??= new Map());
    if (refused.size < MAX_REFUSED || refused.has(key)) refused.set(key, { source, code });
  }

  get hasRefused(): boolean {
    return this.#refused !== undefined;
  }

  /** The refused candidates, without those that supply the file after all. */
  refused(supplying: ReadonlySet<string>): readonly Refused[] {
    if (this.#refused === undefined) return NONE_REFUSED;
    return [...this.#refused].flatMap(([path, refused]) => (supplying.has(path) ? [] : [refused]));
  }

  /** Locates the bytes of a range in the current candidate. */
  currentBytes(range: Range): HashSegment[] | undefined {
    return this.current === undefined ? undefined : bytesIn(this.current, this.current.shift, range);
  }

  /** Locates the bytes of a range in `piece`, by the current decisions. */
  bytes(piece: number, range: Range): HashSegment[] | undefined {
    if (this.parts !== undefined && this.atPiece?.has(piece) !== true) return bytesOfParts(this.parts, range);
    const chosen = this.sourceOf(piece);
    return chosen === undefined ? undefined : bytesIn(chosen, chosen.shift, range);
  }

  /** Finds the source of this file's bytes in `piece`, if it is decided. */
  sourceOf(piece: number): Chosen | undefined {
    const found = this.atPiece?.get(piece);
    if (found !== undefined) return found;
    if (this.owners === undefined || this.own.count === 0) return this.current;
    const at = Math.min(Math.max(piece - this.own.first, 0), this.own.count - 1);
    return this.owners[at] ?? this.current;
  }

  #look(proposal: Proposal, looker: Looker): Chosen | undefined {
    const chosen = this.look(proposal, looker);
    return chosen === undefined || this.#past?.some((one) => isSame(one, chosen)) === true ? undefined : chosen;
  }

  #rankLater(): void {
    const later = this.#later;
    if (later === undefined) return;
    this.#later = undefined;
    this.#queue.push(...later());
  }

  #take(chosen: Chosen): void {
    this.current = chosen;
    if ((this.#past?.length ?? 0) + 1 >= MAX_TRIED) {
      this.#queue = [];
      this.#later = undefined;
    }
    const { taken } = this.torrent;
    taken.set(chosen.inode, (taken.get(chosen.inode) ?? 0) + 1);
  }

  #release(): void {
    const { current } = this;
    if (current === undefined) return;
    this.current = undefined;
    const { taken } = this.torrent;
    const users = (taken.get(current.inode) ?? 1) - 1;
    if (users > 0) taken.set(current.inode, users);
    else taken.delete(current.inode);
  }
}

/** Names the bytes that a candidate supplies. */
export function bytesKey({ inode, shift }: Chosen): string {
  return `${inode}/${shift}`;
}

function isSame(a: Chosen, b: Chosen): boolean {
  return a.inode === b.inode && a.shift === b.shift;
}

export class TorrentTask {
  readonly name: string;
  readonly metainfo: Metainfo;
  readonly shares: PieceShares;
  /** Files that need bytes: no pads, no symlinks, no empty files. */
  readonly files: readonly FileTask[];
  /** By file index; undefined for files that need no bytes. */
  readonly byIndex: readonly (FileTask | undefined)[];
  readonly verified: Buffer;
  /** Inodes that supply files of this torrent, with the number of files of each. */
  readonly taken = new Map<string, number>();
  /** Copies that the exact mode found: the folder that holds the torrent's name, and the files' paths as latin1. */
  readonly exact: { readonly directory: Buffer; readonly paths: ReadonlySet<string> }[] = [];

  constructor(name: string, metainfo: Metainfo) {
    this.name = name;
    this.metainfo = metainfo;
    this.shares = sharePieces(metainfo);
    this.verified = emptyBitfield(metainfo.pieceCount);
    const foldersOf = folderNames(metainfo);
    this.files = metainfo.files
      .filter((file) => !file.pad && file.symlink === undefined && file.length > 0)
      .map((file) => {
        const own = this.shares.own[file.index] ?? { first: 0, count: 0 };
        return new FileTask(this, file, own, foldersOf(file.path));
      });
    const byIndex = Array.from<FileTask | undefined>({ length: metainfo.files.length });
    for (const task of this.files) byIndex[task.file.index] = task;
    this.byIndex = byIndex;
  }
}

/** Gives a path's folders as `FileTask.folders`. Neighbours in a torrent share them, and so the list: there may be a million. */
function folderNames(metainfo: Metainfo): (path: readonly string[]) => readonly string[] {
  const top = metainfo.multi ? [normaliseName(metainfo.name)] : [];
  let last: readonly string[] = [];
  let names: readonly string[] = top;
  return (path) => {
    const depth = path.length - 1;
    let same = last.length === path.length;
    for (let i = 0; i < depth && same; i++) same = last[i] === path[i];
    if (!same) names = [...path.slice(0, depth).map(normaliseName).toReversed(), ...top];
    last = path;
    return names;
  };
}
