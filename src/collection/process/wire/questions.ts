/** The methods of an index on the wire: batches of questions, and the answers to some of them. */
import { type ByteReader, type ByteWriter, MalformedBytes } from '../../../bytes/byte-codec.ts';
import type {
  ArchivedFile,
  CollectionFile,
  CollectionIndex,
  FolderRef,
  FolderTree,
  Indexed,
  LeftOutCode,
  LeftOutFile,
  LeftOutQuestion,
  NameAndRange,
} from '../../index.ts';

/** One method: its number, its questions, and how to ask a whole batch of them. */
export interface Method<Question, Answer> {
  readonly number: number;
  readonly ask: (index: CollectionIndex, questions: readonly Question[]) => Promise<readonly Answer[]>;
  readonly writeQuestion: (out: ByteWriter, question: Question) => void;
  readonly readQuestion: (from: ByteReader) => Question;
  readonly writeAnswer: (out: ByteWriter, answer: Answer) => void;
  readonly readAnswer: (from: ByteReader) => Answer;
}

const files = {
  writeAnswer: (out: ByteWriter, found: readonly CollectionFile[]) => writeList(out, found, writeFile),
  readAnswer: (from: ByteReader) => readList(from, SMALLEST_FILE, readFile),
};
const folders = {
  writeAnswer: (out: ByteWriter, found: readonly FolderRef[]) => writeList(out, found, writeFolder),
  readAnswer: (from: ByteReader) => readList(from, 2, readFolder),
};

const byNameAndSize: Method<{ name: string; size: number }, CollectionFile[]> = {
  number: 1,
  ask: (index, questions) => index.byNameAndSize(questions),
  writeQuestion(out, { name, size }) {
    writeName(out, name);
    writeNumber(out, size);
  },
  readQuestion: (from) => ({ name: readName(from), size: readNumber(from) }),
  ...files,
};

const byName: Method<NameAndRange, CollectionFile[]> = {
  number: 2,
  ask: (index, questions) => index.byName(questions),
  writeQuestion(out, { name, min, max, limit }) {
    writeName(out, name);
    for (const number of [min, max]) writeNumber(out, number);
    out.integer(limit === undefined ? 0 : limit + 1);
  },
  readQuestion(from) {
    const [name, min, max] = [readName(from), readNumber(from), readNumber(from)];
    const limit = from.integer('a limit');
    return { name, min, max, ...(limit === 0 ? {} : { limit: limit - 1 }) };
  },
  ...files,
};

const bySize: Method<{ min: number; max: number; near: number; limit: number }, CollectionFile[]> = {
  number: 3,
  ask: (index, questions) => index.bySize(questions),
  writeQuestion(out, { min, max, near, limit }) {
    for (const number of [min, max, near, limit]) writeNumber(out, number);
  },
  readQuestion: (from) => ({
    min: readNumber(from),
    max: readNumber(from),
    near: readNumber(from),
    limit: readNumber(from),
  }),
  ...files,
};

const archived: Method<{ size: number; name?: string; limit: number }, ArchivedFile[]> = {
  number: 4,
  ask: (index, questions) => index.archived(questions),
  writeQuestion(out, { size, name, limit }) {
    for (const number of [size, limit]) writeNumber(out, number);
    out.integer(name === undefined ? 0 : 1);
    if (name !== undefined) writeName(out, name);
  },
  readQuestion(from) {
    const [size, limit] = [readNumber(from), readNumber(from)];
    return { size, limit, ...(from.integer('a flag', 1) === 0 ? {} : { name: readName(from) }) };
  },
  writeAnswer: (out, found) => writeList(out, found, writeMember),
  readAnswer: (from) => readList(from, SMALLEST_FILE + 2, readMember),
};

const releases: Method<string, FolderRef[]> = {
  number: 5,
  ask: (index, names) => index.releases(names),
  writeQuestion: writeName,
  readQuestion: readName,
  ...folders,
};

const byFolderName: Method<Buffer, FolderRef[]> = {
  number: 6,
  ask: (index, names) => index.folders(names),
  writeQuestion: (out, name) => out.bytes(name),
  readQuestion: (from) => from.bytes('a name'),
  ...folders,
};

const byInode: Method<{ dev: number; ino: bigint }, CollectionFile[]> = {
  number: 7,
  ask: (index, questions) => index.byInode(questions),
  writeQuestion(out, { dev, ino }) {
    writeNumber(out, dev);
    out.wide(BigInt.asUintN(64, ino));
  },
  readQuestion: (from) => ({ dev: readNumber(from), ino: from.wide('an inode number') }),
  ...files,
};

const trees: Method<number, FolderTree> = {
  number: 8,
  ask: (index, ids) => index.trees(ids),
  writeQuestion: writeNumber,
  readQuestion: readNumber,
  writeAnswer(out, { root, name, files: below }) {
    writeNumber(out, root.id); // whatever was asked for
    out.bytes(root.path);
    out.bytes(name);
    writeList(out, below, (_, { file, relative }) => {
      writeFile(out, file);
      out.integer(relative.length);
    });
  },
  readAnswer(from) {
    const root = { id: readNumber(from), path: from.bytes('a path') };
    return { root, name: from.bytes('a name'), files: readList(from, SMALLEST_FILE + 1, readTreeFile) };
  },
};

const LEFT_OUT_CODES: readonly LeftOutCode[] = ['ignored', 'growing', 'link', 'unreadable'];

const leftOut: Method<LeftOutQuestion, LeftOutFile[]> = {
  number: 9,
  ask: (index, questions) => index.leftOut(questions),
  writeQuestion(out, { name, min, max, limit }) {
    writeName(out, name);
    for (const number of [min, max, limit]) writeNumber(out, number);
  },
  readQuestion: (from) => ({
    name: readName(from),
    min: readNumber(from),
    max: readNumber(from),
    limit: readNumber(from),
  }),
  writeAnswer(out, found) {
    writeList(out, found, (_, { path, size, code }) => {
      out.bytes(path);
      out.integer(size === null ? 0 : size + 1);
      out.integer(LEFT_OUT_CODES.indexOf(code));
    });
  },
  readAnswer: (from) => readList(from, 3, readLeftOut),
};

const awayDisks: Method<Buffer, Buffer | null> = {
  number: 10,
  ask: (index, paths) => index.awayDisks(paths),
  writeQuestion: (out, path) => out.bytes(path),
  readQuestion: (from) => from.bytes('a path'),
  // No folder has an empty path.
  writeAnswer: (out, disk) => out.bytes(disk ?? NOTHING),
  readAnswer(from) {
    const disk = from.bytes('a path');
    return disk.length === 0 ? null : disk;
  },
};

const INDEXED_KINDS: readonly Indexed['kind'][] = ['file', 'folder', 'left out', 'nothing'];

const known: Method<Buffer, Indexed> = {
  number: 11,
  ask: (index, paths) => index.known(paths),
  writeQuestion: (out, path) => out.bytes(path),
  readQuestion: (from) => from.bytes('a path'),
  writeAnswer(out, { disk, kind, code, size, release, builtMs }) {
    out.bytes(disk ?? NOTHING);
    out.integer(INDEXED_KINDS.indexOf(kind));
    out.integer(code === undefined ? 0 : LEFT_OUT_CODES.indexOf(code) + 1);
    out.integer(size === undefined ? 0 : size + 1);
    out.bytes(release ?? NOTHING);
    out.double(builtMs);
  },
  readAnswer(from) {
    const disk = from.bytes('a path');
    const kind = INDEXED_KINDS[from.integer('a kind', INDEXED_KINDS.length - 1)] ?? 'nothing';
    const code = LEFT_OUT_CODES[from.integer('a reason', LEFT_OUT_CODES.length) - 1];
    const size = from.integer('a size');
    const release = from.bytes('a path');
    return {
      disk: disk.length === 0 ? null : disk,
      kind,
      ...(code === undefined ? {} : { code }),
      ...(size === 0 ? {} : { size: size - 1 }),
      ...(release.length === 0 ? {} : { release }),
      builtMs: from.double('a time'),
    };
  },
};

const NOTHING = Buffer.alloc(0);

export const METHODS = {
  byNameAndSize,
  byName,
  bySize,
  archived,
  releases,
  byFolderName,
  byInode,
  trees,
  leftOut,
  awayDisks,
  known,
};

/** @throws MalformedBytes for a number that no method has */
export function methodOf(number: number): Method<unknown, unknown> {
  // Who asks by number has questions and answers of that very method, and of nothing else.
  const all = Object.values(METHODS) as unknown as readonly Method<unknown, unknown>[];
  const found = all.find((method) => method.number === number);
  if (found === undefined) throw new MalformedBytes(`there is no method ${number}`);
  return found;
}

/** Bytes, at least. */
const SMALLEST_FILE = 5;

function writeFile(out: ByteWriter, { folder, path, name, size, release }: CollectionFile): void {
  out.integer(folder);
  out.bytes(path);
  out.integer(name.length);
  out.integer(size);
  out.integer(release === null ? 0 : release + 1);
}

/** The name is the end of the path. */
function readFile(from: ByteReader): CollectionFile {
  const folder = from.integer('a folder');
  const path = from.bytes('a path');
  const name = path.subarray(path.length - from.integer("a name's length", path.length));
  const size = from.integer('a size');
  const release = from.integer('a release');
  return { folder, path, name, size, release: release === 0 ? null : release - 1 };
}

/** The components are the end of the path, too. */
function readTreeFile(from: ByteReader): FolderTree['files'][number] {
  const file = readFile(from);
  const components = from.integer('a depth', file.path.length);
  const relative: Buffer[] = [];
  let end = file.path.length;
  for (let i = 0; i < components; i++) {
    if (end <= 0) throw new MalformedBytes('a path has fewer components than were announced');
    const start = file.path.lastIndexOf(SLASH, end - 1) + 1;
    relative.unshift(file.path.subarray(start, end));
    end = start - 1;
  }
  return { file, relative };
}

const SLASH = 0x2f;

function writeMember(out: ByteWriter, { archive, name, size }: ArchivedFile): void {
  writeFile(out, archive);
  out.bytes(name);
  out.integer(size);
}

function readMember(from: ByteReader): ArchivedFile {
  return { archive: readFile(from), name: from.bytes('a name'), size: from.integer('a size') };
}

function readLeftOut(from: ByteReader): LeftOutFile {
  const [path, size] = [from.bytes('a path'), from.integer('a size')];
  const code = LEFT_OUT_CODES[from.integer('a reason', LEFT_OUT_CODES.length - 1)] ?? 'unreadable';
  return { path, size: size === 0 ? null : size - 1, code };
}

function writeFolder(out: ByteWriter, { id, path }: FolderRef): void {
  out.integer(id);
  out.bytes(path);
}

function readFolder(from: ByteReader): FolderRef {
  return { id: from.integer('a folder'), path: from.bytes('a path') };
}

/** UTF-16: a name may hold half a pair of surrogates, which UTF-8 has no bytes for. */
function writeName(out: ByteWriter, name: string): void {
  out.bytes(Buffer.from(name, 'utf16le'));
}

function readName(from: ByteReader): string {
  return from.bytes('a name').toString('utf16le');
}

/** Any number of a question, within what an index can hold. */
function writeNumber(out: ByteWriter, value: number): void {
  out.double(Math.max(Number.MIN_SAFE_INTEGER, Math.min(value, Number.MAX_SAFE_INTEGER)));
}

function readNumber(from: ByteReader): number {
  return from.double('a number');
}

function writeList<T>(out: ByteWriter, items: readonly T[], write: (out: ByteWriter, item: T) => void): void {
  out.integer(items.length);
  for (const item of items) write(out, item);
}

/** `smallest`: bytes of an item, at least. */
function readList<T>(from: ByteReader, smallest: number, read: (from: ByteReader) => T): T[] {
  const count = from.count('a list', smallest);
  const items: T[] = [];
  for (let i = 0; i < count; i++) items.push(read(from));
  return items;
}
