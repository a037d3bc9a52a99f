/**
 * Folders that users gave to `rebuild` by name: they hold sources, like the disks of the configuration. A file beside the
 * index lists them, since the process that serves does not open the index.
 *
 * One absolute path a line, after a first line with the format. A byte that is no printable ASCII, and `\`, is written as in
 * the mount table: `\` and three octal digits. Users may delete lines: sources in such a folder are then not served. A file
 * that somebody else could have written is not believed.
 */
import { constants, type Stats } from 'node:fs';
import { isTrustedUser } from '../native/accounts.ts';
import { isNormalPath } from './paths.ts';
import { close, fstat, open, readAll, type Steps } from './steps.ts';

const FIRST_LINE = 'autotorrent folders 1';
const MOST_BYTES = 1024 * 1024;
const WRITABLE_BY_OTHERS = 0o022;

export function givenFoldersPath(db: string): string {
  return `${db}.folders`;
}

/** The file is not believed: a predicate, after its path. */
export interface Unbelievable {
  readonly problem: string;
}

export function formatGivenFolders(folders: readonly Buffer[]): Buffer {
  return Buffer.from([FIRST_LINE, ...folders.map(escaped), ''].join('\n'), 'latin1');
}

export function parseGivenFolders(text: Buffer): readonly Buffer[] | Unbelievable {
  const [first, ...lines] = text.toString('latin1').split('\n');
  if (first !== FIRST_LINE) return { problem: `does not begin with "${FIRST_LINE}"` };
  const folders: Buffer[] = [];
  for (const [i, line] of lines.entries()) {
    if (line === '') continue;
    const folder = unescaped(line);
    if (folder === undefined || !isNormalPath(folder)) return { problem: `has no absolute path in line ${i + 2}` };
    folders.push(folder);
  }
  return folders;
}

/** Reads the file. Undefined if there is none. @throws errors of the disk */
export function* readGivenFolders(path: string): Steps<readonly Buffer[] | Unbelievable | undefined> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;
  let fd: number;
  try {
    fd = yield* open(path, flags);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const problem = problemOf(yield* fstat(fd));
    if (problem !== undefined) return { problem };
    return parseGivenFolders(yield* readAll(fd, MOST_BYTES));
  } finally {
    yield* close(fd);
  }
}

function problemOf(stats: Stats): string | undefined {
  if (!stats.isFile()) return 'is not a regular file';
  if (stats.size > MOST_BYTES) return `has more than ${MOST_BYTES} bytes`;
  if (!isTrustedUser(stats.uid)) return `belongs to user ${stats.uid}`;
  return (stats.mode & WRITABLE_BY_OTHERS) === 0 ? undefined : 'can be written by other users';
}

function escaped(path: Buffer): string {
  return path
    .toString('latin1')
    .replaceAll(/[^!-[\]-~ ]/g, (byte) => `\\${byte.charCodeAt(0).toString(8).padStart(3, '0')}`);
}

function unescaped(line: string): Buffer | undefined {
  if (/\\(?![0-3][0-7]{2})/.test(line) || /[^ -~]/.test(line)) return undefined;
  const bytes = line.replaceAll(/\\([0-3][0-7]{2})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
  return Buffer.from(bytes, 'latin1');
}
