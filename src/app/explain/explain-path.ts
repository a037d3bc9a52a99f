/** `explain PATH`: if the index has a path, or why not; the entries that use it; and the gaps of entries that it would fill. */
import { lstat } from 'node:fs/promises';
import type { CollectionIndex, Indexed, LeftOutCode } from '../../collection/index.ts';
import type { Config } from '../../config/config.ts';
import { AutotorrentError, errnoOf, messageOf } from '../../errors.ts';
import { isAtOrBelow } from '../../native/mountinfo.ts';
import type { FileCode } from '../../plan/file-code.ts';
import { lookAtSource } from '../../source/open-source.ts';
import { isLeftOut } from '../../source/own-folder.ts';
import { folderOf } from '../../source/paths.ts';
import { SourceAccess } from '../../source/source-access.ts';
import { findServer } from '../server-connection.ts';
import { sourceRulesNow } from '../source-rules-now.ts';
import type { ExplainRequest } from './explain-torrent.ts';
import { type Fit, fitsOf, type Lacking, lackingThatMayFit } from './fits.ts';
import { entriesOf, type KnownEntries, type KnownEntry } from './known-entries.ts';

export interface Use {
  readonly entry: string;
  readonly infoHash: string;
  /** Sources of the entry that lie at or below the path. */
  readonly sources: number;
}

export interface ExplainedPath {
  readonly path: Buffer;
  /** What is there now. */
  readonly kind: 'file' | 'folder' | 'other' | 'nothing';
  /** Bytes of a file, now. */
  readonly size?: number;
  readonly indexed: boolean;
  /** Why it is no candidate; absent: it is one, or a folder with some. */
  readonly code?: FileCode;
  /** A sentence without its subject: "is indexed, with 5 bytes". */
  readonly says: string;
  /** The root of the release that it belongs to. */
  readonly release?: Buffer;
  /** Absent: `unknown` says why. */
  readonly uses?: readonly Use[];
  /** Of a file that can be read. */
  readonly fits?: readonly Fit[];
  /** Why the store could not be asked. */
  readonly unknown?: string;
}

export interface ExplainPathRequest extends ExplainRequest {
  /** Opens the store where no server runs; undefined if there is none yet. */
  readonly openStore: () => Promise<KnownEntries | undefined>;
}

/** @throws AutotorrentError('INDEX') if there is no index, or it cannot be read */
export async function explainPath(config: Config, path: Buffer, request: ExplainPathRequest): Promise<ExplainedPath> {
  const { logger, signal, onHashing } = request;
  const index = await request.index;
  const server = await findServer(config);
  const now = await lookAt(path);
  const [known] = await index.known([path]);
  if (known === undefined) throw new Error('the index did not answer');
  const access = new SourceAccess(await sourceRulesNow(config, server), { logger });
  const decided = await decide({ path, now, known, index, access });
  const isFile = now.kind === 'file' && decided.code !== 'link' && decided.code !== 'unreadable';
  const size = isFile ? now.size : undefined;
  const asked = await ask({
    path,
    isFolder: now.kind === 'folder',
    size,
    sizeVarying: config.hashSizeVarying,
    open: async () => (server === undefined ? await request.openStore() : entriesOf(server)),
  });
  return {
    path,
    kind: now.kind,
    ...(now.size === undefined ? {} : { size: now.size }),
    ...decided,
    ...(known.release === undefined ? {} : { release: known.release }),
    ...(asked.uses === undefined ? { unknown: asked.unknown } : { uses: asked.uses }),
    ...(asked.uses === undefined || size === undefined
      ? {}
      : { fits: await fitsOf(config, { path, size, lacking: asked.lacking, access, logger, signal, onHashing }) }),
  };
}

type Asked =
  | { readonly uses: readonly Use[]; readonly lacking: readonly Lacking[] }
  | { readonly uses?: never; readonly unknown: string };

interface Asking {
  readonly path: Buffer;
  readonly isFolder: boolean;
  /** Bytes of a file that can be read. */
  readonly size: number | undefined;
  readonly sizeVarying: number;
  readonly open: () => Promise<KnownEntries | undefined>;
}

/** Asks the entries all that there is to ask, and lets go of them before anything is hashed. */
async function ask({ path, isFolder, size, sizeVarying, open }: Asking): Promise<Asked> {
  let entries: KnownEntries | undefined;
  try {
    entries = await open();
    // There is no store yet.
    if (entries === undefined) return { uses: [], lacking: [] };
    const listed = await entries.list();
    const uses = await usesOf(path, isFolder, entries, listed);
    const lacking = size === undefined ? [] : await lackingThatMayFit(entries, listed, { path, size, sizeVarying });
    return { uses, lacking };
  } catch (error) {
    if (!(error instanceof AutotorrentError) || error.code !== 'STORE') throw error;
    return { unknown: error.hint === undefined ? error.message : `${error.message}: ${error.hint}` };
  } finally {
    await entries?.close();
  }
}

interface Now {
  readonly kind: ExplainedPath['kind'];
  readonly size?: number;
  readonly isLink?: boolean;
  /** Why it cannot be looked at. */
  readonly failed?: string;
}

async function lookAt(path: Buffer): Promise<Now> {
  try {
    const stats = await lstat(path);
    if (stats.isDirectory()) return { kind: 'folder' };
    if (stats.isFile()) return { kind: 'file', size: stats.size };
    return { kind: 'other', isLink: stats.isSymbolicLink() };
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return { kind: 'nothing' };
    return { kind: 'nothing', failed: errno === 'EACCES' ? 'may not be looked at by this user' : messageOf(error) };
  }
}

interface Question {
  readonly path: Buffer;
  readonly now: Now;
  readonly known: Indexed;
  readonly index: CollectionIndex;
  readonly access: SourceAccess;
}

type Decided = Pick<ExplainedPath, 'indexed' | 'code' | 'says'>;

const LEFT_OUT: Readonly<Record<LeftOutCode, string>> = {
  ignored: 'is ignored: ignore_files matches it, and it is in no release',
  growing: 'was still being written at the last rebuild: the next one looks at it again',
  link: 'was a symbolic link at the last rebuild: those are not followed',
  unreadable: 'could not be looked at by the last rebuild',
};

const no = (code: FileCode, says: string): Decided => ({ indexed: false, code, says });

async function decide({ path, now, known, index, access }: Question): Promise<Decided> {
  if (known.disk === null) {
    return no(
      'not-indexed',
      'lies below no disk of the index: name its disk in [disks], or run autotorrent rebuild with it',
    );
  }
  const [away] = await index.awayDisks([path]);
  const isKept = known.kind === 'file' || known.kind === 'folder';
  if (away !== null && away !== undefined) {
    const rest = isKept ? 'the index keeps it' : 'the index does not have it';
    return { indexed: isKept, code: 'disk-away', says: `lies on a disk that is away (${away.toString()}): ${rest}` };
  }
  if (known.code !== undefined) {
    return { indexed: known.kind === 'file', code: known.code, says: LEFT_OUT[known.code] };
  }
  if (now.failed !== undefined) return { indexed: isKept, code: 'unreadable', says: now.failed };
  if (known.kind === 'folder') {
    return now.kind === 'folder'
      ? { indexed: true, says: 'is an indexed folder' }
      : { indexed: true, code: 'changed', says: 'was a folder at the last rebuild, and is none now' };
  }
  if (known.kind === 'file') return stillThere({ path, now, known, access });
  return whyNot({ path, now, access });
}

/** A file that is a candidate, if it is as it was. */
function stillThere({ path, now, known, access }: Omit<Question, 'index'>): Decided {
  const size = known.size ?? 0;
  const looked = lookAtSource({ path, recorded: { size } }, access);
  if (looked.state === 'as recorded') {
    const release = known.release === undefined ? '' : `, in the release ${known.release.toString()}`;
    return { indexed: true, says: `is indexed with ${size} bytes${release}` };
  }
  const { code, says } = looked.why;
  if (code === 'unreadable') return { indexed: true, code: 'unreadable', says };
  if (code === 'redirected' || now.isLink === true) return { indexed: true, code: 'link', says };
  return { indexed: true, code: 'changed', says: `is indexed with ${size} bytes, but ${says}` };
}

/** What is below a disk, and not in the index. */
function whyNot({ path, now, access }: Pick<Question, 'path' | 'now' | 'access'>): Decided {
  if (now.kind === 'nothing') return no('not-indexed', 'is not there, and was not at the last rebuild');
  if (isLeftOut(path)) return no('not-indexed', 'lies in a folder of autotorrent itself, which is not read');
  if (now.isLink === true) return no('link', 'is a symbolic link: those are not followed');
  if (now.kind === 'other') return no('not-indexed', 'is neither a file nor a folder');
  const looked = now.kind === 'file' ? lookAtSource({ path }, access) : undefined;
  if (looked?.state === 'absent') {
    const { code, says } = looked.why;
    if (code === 'redirected') return no('link', says);
    return no(code === 'unreadable' ? 'unreadable' : 'not-indexed', says);
  }
  return no('not-indexed', 'was not there at the last rebuild, or could not be read: run autotorrent rebuild');
}

/** The entries whose sources lie at a path, or below it. */
async function usesOf(
  path: Buffer,
  isFolder: boolean,
  entries: KnownEntries,
  listed: readonly KnownEntry[],
): Promise<Use[]> {
  const counts = new Map<string, number>();
  // They list what lies below a folder: a file is none.
  for await (const source of entries.sourcesBelow(isFolder ? path : folderOf(path))) {
    if (!isAtOrBelow(source.path, path)) continue;
    for (const infoHash of source.infoHashes) counts.set(infoHash, (counts.get(infoHash) ?? 0) + 1);
  }
  const names = new Map(listed.map(({ infoHash, name }) => [infoHash, name]));
  return [...counts].map(([infoHash, sources]) => ({ entry: names.get(infoHash) ?? infoHash, infoHash, sources }));
}
