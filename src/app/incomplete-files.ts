/** The files of a torrent that are not complete, and why: what `add` tells of a torrent that it does not take as a whole. */
import { shownPath } from '../bytes/shown-path.ts';
import type { FileMatch, TorrentMatch } from '../match/match.ts';

export interface IncompleteFile {
  readonly path: string;
  readonly length: number;
  readonly status: string;
  readonly code: string;
  /** One sentence. */
  readonly reason: string;
  /** Candidates that were not taken, as JSON shows them. */
  readonly refused: readonly object[];
}

export interface IncompleteFiles {
  readonly count: number;
  /** The first of them: a torrent may have a million. */
  readonly files: readonly IncompleteFile[];
  /** Of those that something of the right name would supply, were it usable: the largest, as a clause. */
  readonly unusable?: string;
}

/** Files that are told of one torrent. */
const MOST_TOLD = 100;

/** What can be used once the user has done something about it. */
const UNUSABLE: ReadonlySet<string> = new Set(['ignored', 'unreadable', 'link', 'growing', 'disk-away']);

/** Undefined: all of them are complete. */
export function incompleteFilesOf({
  files,
  metainfo,
}: Pick<TorrentMatch, 'files' | 'metainfo'>): IncompleteFiles | undefined {
  let count = 0;
  let largest: { readonly length: number; readonly match: FileMatch } | undefined;
  const told: IncompleteFile[] = [];
  for (const [i, match] of files.entries()) {
    if (match.status !== 'missing' && match.status !== 'partial') continue;
    count++;
    const { path = [], length = 0 } = metainfo.files[i] ?? {};
    if (UNUSABLE.has(match.code) && length > (largest?.length ?? -1)) largest = { length, match };
    if (told.length < MOST_TOLD) told.push({ path: path.join('/'), length, ...toldOf(match) });
  }
  if (count === 0) return undefined;
  const unusable = largest === undefined ? {} : { unusable: largest.match.reason.replace(/\.$/, '') };
  return { count, files: told, ...unusable };
}

function toldOf({ status, code, reason, refused }: FileMatch): Omit<IncompleteFile, 'path' | 'length'> {
  return { status, code, reason, refused: refusedJson(refused) };
}

export function refusedJson(refused: FileMatch['refused']): object[] {
  return refused.map(({ source, code }) => ({ ...shownPath(source), code }));
}
