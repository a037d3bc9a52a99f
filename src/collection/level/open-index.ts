/** Answers questions from one generation of the index. */

import { AutotorrentError } from '../../errors.ts';
import type {
  ArchivedFile,
  ArchivedQuestion,
  CollectionFile,
  CollectionIndex,
  FileNumbers,
  FolderRef,
  FolderTree,
  Indexed,
  LeftOutFile,
  LeftOutQuestion,
  NameAndRange,
  NameAndSize,
  SizeRange,
} from '../index.ts';
import { hashText, normaliseName } from '../names.ts';
import type { FolderRecord } from '../scan/folder-record.ts';
import { currentMountPoints, isInside } from '../scan/mounts.ts';
import { findAwayIn } from './away-parts.ts';
import { baseName, FolderStore, joinPath, RECORDS_AT_ONCE } from './folder-store.ts';
import { fileOf, readTrees } from './folder-trees.ts';
import {
  damaged,
  IndexDatabase,
  type IndexState,
  KIND,
  type LevelDatabase,
  type PostingKind,
} from './index-database.ts';
import { knownPath } from './known-path.ts';
import { NO_SIZE } from './left-out-rows.ts';
import { type PostingRow, Postings } from './postings.ts';

export interface IndexInfo {
  readonly generation: number;
  readonly files: number;
  readonly folders: number;
  readonly bytes: number;
  readonly releases: number;
  /** When the last rebuild ended, milliseconds since 1970. */
  readonly builtMs: number;
  /** The folders that were scanned: `[disks]`, and paths that `rebuild PATH` added. */
  readonly roots: readonly Buffer[];
}

/** A row that may answer a question. `accepts` refuses a row of which only the hash agrees. */
interface Hit {
  readonly question: number;
  readonly rank: number;
  readonly folder: number;
  /** Position of the file, or of the member, in its folder. */
  readonly file: number;
  readonly accepts: (record: FolderRecord) => boolean;
}

/** The index of a database that is open here. */
export interface LocalIndex extends CollectionIndex {
  info(): IndexInfo;
}

/** The error for answers that are too large to hold in memory. */
export class AnswerTooLarge extends AutotorrentError {
  constructor(files: number) {
    super('INDEX', `more than ${files} files of the collection answer one question`, {
      hint: 'index fewer files of one size or name: see `ignore_files` and [disks]',
    });
    this.name = 'AnswerTooLarge';
  }
}

/**
 * Opens the index in `db`, which the caller closes. After a rebuild of the database, open it anew.
 * @throws AutotorrentError('INDEX') if there is none, or one of another version
 */
export async function openIndex(db: LevelDatabase, mostAnswers: number = MOST_ANSWERS): Promise<LocalIndex> {
  const database = new IndexDatabase(db);
  return await openGeneration(database, await readIndexState(database), mostAnswers);
}

/** @throws AutotorrentError('INDEX') if there is no index, or one of another version */
export async function readIndexState(database: IndexDatabase): Promise<IndexState> {
  const state = await database.readState();
  if (state !== undefined) return state;
  await database.refuseForeign();
  throw new AutotorrentError('INDEX', 'there is no collection index yet', { hint: 'run `autotorrent rebuild`' });
}

export async function openGeneration(
  database: IndexDatabase,
  state: IndexState,
  mostAnswers: number = MOST_ANSWERS,
): Promise<LocalIndex> {
  return new LevelIndex(database, state, await FolderStore.open(database, state.generation, state.ids), mostAnswers);
}

/** The most files in the answers to one batch: some 600 MB. */
const MOST_ANSWERS = 2_000_000;

class LevelIndex implements LocalIndex {
  readonly version: string;
  readonly #db: IndexDatabase;
  readonly #state: IndexState;
  readonly #folders: FolderStore;
  readonly #mostAnswers: number;
  readonly #postings = new Map<PostingKind, Promise<Postings>>();

  constructor(db: IndexDatabase, state: IndexState, folders: FolderStore, mostAnswers: number) {
    this.version = `${state.generation}-${state.builtMs}`;
    this.#mostAnswers = mostAnswers;
    this.#db = db;
    this.#state = state;
    this.#folders = folders;
  }

  info(): IndexInfo {
    const { generation, files, folders, bytes, releases, builtMs, roots } = this.#state;
    return {
      generation,
      files,
      folders,
      bytes,
      releases,
      builtMs,
      roots: roots.map((root) => Buffer.from(root.path, 'latin1')),
    };
  }

  byNameAndSize(questions: readonly NameAndSize[]): Promise<CollectionFile[][]> {
    return this.byName(questions.map(({ name, size }) => ({ name, min: size, max: size })));
  }

  async byName(questions: readonly NameAndRange[]): Promise<CollectionFile[][]> {
    const wanted = questions.map(({ name, min, max, limit }) => {
      const normal = normaliseName(name);
      const most = limit === undefined ? {} : { most: limit };
      return { normal, k1: hashText(normal), low: min, high: max, ...most };
    });
    return this.#answer(KIND.byName, wanted, (record, row, { normal, low, high }) => {
      const size = record.sizes[row.file] ?? -1;
      return size >= low && size <= high && normaliseName(record.fileName(row.file)) === normal;
    });
  }

  byInode(questions: readonly FileNumbers[]): Promise<CollectionFile[][]> {
    const wanted = questions.map(({ dev, ino }) => ({ k1: Number(ino), ino, low: dev, high: dev }));
    return this.#answer(KIND.byInode, wanted, (record, row, { ino }) => record.hasInode(row.file, ino));
  }

  async bySize(questions: readonly SizeRange[]): Promise<CollectionFile[][]> {
    const postings = await this.#open(KIND.bySize);
    const order = questions.map((_, i) => i).toSorted((a, b) => (questions[a]?.near ?? 0) - (questions[b]?.near ?? 0));
    const hits: Hit[] = [];
    for (const [i, question] of order.entries()) {
      const asked = questions[question];
      if (asked === undefined || asked.max < asked.min) continue;
      const start = Math.min(Math.max(asked.near, asked.min), asked.max);
      if (i % RECORDS_AT_ONCE === 0) {
        const next = order.slice(i, i + RECORDS_AT_ONCE);
        await postings.prefetch(next.map((q): [number, number] => [questions[q]?.near ?? 0, 0]));
      }
      let up = await postings.lowerBound(start, 0);
      let down = up - 1;
      const distance = async (number: number): Promise<number> => {
        if (number < 0 || number >= postings.rows) return Number.POSITIVE_INFINITY;
        const { k1 } = await postings.row(number);
        return k1 < asked.min || k1 > asked.max ? Number.POSITIVE_INFINITY : Math.abs(k1 - asked.near);
      };
      let above = await distance(up);
      let below = await distance(down);
      for (let rank = 0; rank < asked.limit && Math.min(above, below) < Number.POSITIVE_INFINITY; rank++) {
        const number = above <= below ? up++ : down--;
        if (above <= below) above = await distance(up);
        else below = await distance(down);
        const row = await postings.row(number);
        const accepts = (record: FolderRecord): boolean => record.sizes[row.file] === row.k1;
        hits.push({ question, rank, folder: row.folder, file: row.file, accepts });
        this.#refuseOver(hits.length);
      }
    }
    return this.#files(hits, questions.length);
  }

  async archived(questions: readonly ArchivedQuestion[]): Promise<ArchivedFile[][]> {
    const wanted = questions.map(({ size, name, limit }) => {
      const normal = name === undefined ? undefined : normaliseName(name);
      const hash = normal === undefined ? undefined : hashText(normal);
      return { k1: size, low: hash ?? 0, high: hash ?? 0xffffffff, normal, limit };
    });
    const hits: Hit[] = [];
    for (const [question, { normal, limit, k1 }, rows] of await this.#ranges(KIND.members, wanted)) {
      for (const [rank, { folder, file }] of rows.slice(0, limit).entries()) {
        const accepts = (record: FolderRecord): boolean =>
          record.memberSizes[file] === k1 &&
          (normal === undefined || normaliseName(baseName(record.memberName(file))) === normal);
        hits.push({ question, rank, folder, file, accepts });
      }
    }
    return this.#resolve(
      hits,
      questions.length,
      ({ members }) => members,
      (folder, path, record, member) => ({
        archive: fileOf(this.#folders, { id: folder, path }, record, record.memberFiles[member] ?? 0),
        name: Buffer.from(record.memberName(member)),
        size: record.memberSizes[member] ?? 0,
      }),
    );
  }

  async releases(names: readonly string[]): Promise<FolderRef[][]> {
    const wanted = names.map((name) => normaliseName(name));
    const named = wanted.map((name) => hashText(name));
    return this.#folderRefs(KIND.releases, named, (name, question) => normaliseName(name) === wanted[question]);
  }

  async folders(names: readonly Buffer[]): Promise<FolderRef[][]> {
    const named = names.map((name) => hashText(name.toString('latin1')));
    return this.#folderRefs(KIND.folderNames, named, (name, question) => names[question]?.equals(name) === true);
  }

  async leftOut(questions: readonly LeftOutQuestion[]): Promise<LeftOutFile[][]> {
    const wanted = questions.flatMap(({ name, min, max, limit: most }, question) => {
      const normal = normaliseName(name);
      const k1 = hashText(normal);
      const high = Math.min(max, NO_SIZE - 1);
      return [
        { question, normal, k1, low: min, high, most },
        { question, normal, k1, low: NO_SIZE, high: NO_SIZE, most },
      ];
    });
    const hits: Hit[] = [];
    for (const [at, { question, normal }, rows] of await this.#ranges(KIND.leftOut, wanted)) {
      // Those of a known size come first.
      const first = (at % 2) * MOST_ANSWERS;
      for (const [rank, { folder, file }] of rows.entries()) {
        const accepts = (record: FolderRecord): boolean => normaliseName(nameAt(record, file)) === normal;
        hits.push({ question, rank: first + rank, folder, file, accepts });
      }
    }
    const found = await this.#resolve(hits, questions.length, leftOutPlaces, (_, path, record, file) => ({
      path: joinPath(path, Buffer.from(nameAt(record, file))),
      size: file < record.files ? (record.sizes[file] ?? 0) : null,
      code: codeOf(record, file),
    }));
    return found.map((answer, question) => answer.slice(0, questions[question]?.limit));
  }

  async awayDisks(paths: readonly Buffer[]): Promise<(Buffer | null)[]> {
    if (paths.length === 0) return [];
    const question = { state: this.#state, store: this.#folders, avoid: currentMountPoints(['fuse.autotorrent']) };
    const away = await findAwayIn(question);
    return paths.map((path) => {
      const held = away.find((folder) => isInside(path.toString('latin1'), folder.path));
      return held === undefined ? null : Buffer.from(held.path, 'latin1');
    });
  }

  async known(paths: readonly Buffer[]): Promise<Indexed[]> {
    const found: Indexed[] = [];
    for (const path of paths) found.push(await knownPath(path.toString('latin1'), this.#state, this.#folders));
    return found;
  }

  trees(folders: readonly number[]): Promise<FolderTree[]> {
    return readTrees(this.#folders, folders, (count) => this.#refuseOver(count));
  }

  async close(): Promise<void> {
    this.#postings.clear(); // the database is its opener's to close
  }

  #refuseOver(count: number): void {
    if (count > this.#mostAnswers) throw new AnswerTooLarge(this.#mostAnswers);
  }

  #open(kind: PostingKind): Promise<Postings> {
    let opened = this.#postings.get(kind);
    if (opened === undefined) {
      opened = Postings.open(this.#db, this.#state.generation, kind);
      this.#postings.set(kind, opened);
    }
    return opened;
  }

  async #answer<Q extends { readonly k1: number; readonly low: number; readonly high: number }>(
    kind: PostingKind,
    wanted: readonly Q[],
    accepts: (record: FolderRecord, row: PostingRow, question: Q) => boolean,
  ): Promise<CollectionFile[][]> {
    const hits: Hit[] = [];
    for (const [question, asked, rows] of await this.#ranges(kind, wanted)) {
      for (const [rank, row] of rows.entries()) {
        const { folder, file } = row;
        hits.push({ question, rank, folder, file, accepts: (record) => accepts(record, row, asked) });
      }
    }
    return this.#files(hits, wanted.length);
  }

  /** Finds the rows of each question. It asks in sorted order, so that each block is read once. */
  async #ranges<Q extends { readonly k1: number; readonly low: number; readonly high: number; readonly most?: number }>(
    kind: PostingKind,
    wanted: readonly Q[],
  ): Promise<[number, Q, PostingRow[]][]> {
    const postings = await this.#open(kind);
    const order = [...wanted.entries()].toSorted(([, a], [, b]) => a.k1 - b.k1 || a.low - b.low);
    const found: [number, Q, PostingRow[]][] = [];
    let count = 0;
    for (const [i, [question, asked]] of order.entries()) {
      if (i % RECORDS_AT_ONCE === 0) {
        await postings.prefetch(order.slice(i, i + RECORDS_AT_ONCE).map(([, q]): [number, number] => [q.k1, q.low]));
      }
      const rows = await postings.range(asked.k1, asked.low, asked.high, asked.most);
      count += rows.length;
      this.#refuseOver(count);
      found.push([question, asked, rows]);
    }
    return found;
  }

  #files(hits: readonly Hit[], questions: number): Promise<CollectionFile[][]> {
    return this.#resolve(
      hits,
      questions,
      ({ files }) => files,
      (id, path, record, file) => fileOf(this.#folders, { id, path }, record, file),
    );
  }

  /** Reads the files, members or names of rows in the order of their folders. Returns them in the order of the questions. */
  async #resolve<T>(
    hits: readonly Hit[],
    questions: number,
    places: (record: FolderRecord) => number,
    make: (folder: number, path: Buffer, record: FolderRecord, index: number) => T,
  ): Promise<T[][]> {
    const found: { readonly hit: Hit; readonly made: T }[] = [];
    const order = hits.toSorted((a, b) => a.folder - b.folder);
    for (let from = 0; from < order.length; from += RECORDS_AT_ONCE) {
      const chunk = order.slice(from, from + RECORDS_AT_ONCE);
      const folders = chunk.map((hit) => hit.folder);
      const records = await this.#folders.records(folders);
      const paths = await this.#folders.paths(folders);
      for (const [i, hit] of chunk.entries()) {
        const record = records.get(hit.folder);
        const path = paths[i];
        if (record === undefined || path === undefined || hit.file >= places(record))
          throw damaged('a file is missing');
        if (!hit.accepts(record)) continue;
        found.push({ hit, made: make(hit.folder, path, record, hit.file) });
      }
    }
    const answers: T[][] = Array.from({ length: questions }, () => []);
    for (const { hit, made } of found.toSorted((a, b) => a.hit.rank - b.hit.rank)) answers[hit.question]?.push(made);
    return answers;
  }

  async #folderRefs(
    kind: PostingKind,
    hashes: readonly number[],
    accepts: (name: Buffer, question: number) => boolean,
  ): Promise<FolderRef[][]> {
    const answers: FolderRef[][] = hashes.map(() => []);
    const wanted = hashes.map((k1) => ({ k1, low: 0, high: 0 }));
    const found = (await this.#ranges(kind, wanted)).flatMap(([question, , rows]) =>
      rows.map(({ folder }) => ({ question, folder })),
    );
    const paths = await this.#folders.paths(found.map(({ folder }) => folder));
    for (const [i, { question, folder }] of found.entries()) {
      const path = paths[i];
      if (path !== undefined && accepts(baseName(path), question)) answers[question]?.push({ id: folder, path });
    }
    return answers;
  }
}

const leftOutPlaces = ({ files, leftOut }: FolderRecord): number => files + leftOut;

function nameAt(record: FolderRecord, place: number): Buffer {
  return place < record.files ? record.fileName(place) : record.leftOutName(place - record.files).name;
}

function codeOf(record: FolderRecord, place: number): LeftOutFile['code'] {
  if (place >= record.files) return record.leftOutName(place - record.files).why;
  return record.isGrowing(place) ? 'growing' : 'ignored';
}
