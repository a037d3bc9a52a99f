/** Finds, for files of a torrent that are not complete, what of the collection comes nearest, and why it was not taken. */
import type { CollectionFile, CollectionIndex } from '../../collection/index.ts';
import { normaliseName } from '../../collection/names.ts';
import type { FileMatch, MatchMode } from '../../match/match.ts';
import type { FileCode } from '../../plan/file-code.ts';

export interface Candidate {
  readonly path: Buffer;
  /** The name of the file that the archive at `path` holds. */
  readonly member?: Buffer;
  /** Bytes, at the last rebuild; null: not known. */
  readonly size: number | null;
  readonly code: FileCode;
  /** A predicate: "has its name, but 5 bytes more". */
  readonly says: string;
}

export interface IncompleteFile {
  readonly name: string;
  readonly length: number;
  readonly match: Pick<FileMatch, 'code' | 'refused'>;
  /** Paths of sources that supply a part of it, as latin1. */
  readonly used: ReadonlySet<string>;
}

/** Candidates that are shown of one file. */
const MOST_SHOWN = 8;
/** Files of the name that are looked through for the nearest size. */
const OF_NAME = 256;
const OF_ANY_SIZE = 16;
const OF_SIZE = 4;
const ALL_SIZES = { min: 0, max: Number.MAX_SAFE_INTEGER };

const REFUSED: Partial<Readonly<Record<FileCode, string>>> = {
  changed: 'is not as it was at the last rebuild: run autotorrent rebuild',
  'hash-mismatch': 'was hashed, and does not have its bytes',
  unproven: 'may have its bytes, but no piece can prove them',
  ignored: 'has its name, but ignore_files leaves it out',
  growing: 'was still being written at the last rebuild',
  link: 'is a symbolic link, or lies below one: those are not followed',
  unreadable: 'may not be read',
  'disk-away': 'lies on a disk that is away',
};

interface Tools {
  readonly index: CollectionIndex;
  readonly scanModes: readonly MatchMode[];
}

/** Gives the candidates of each file, the nearest first. */
export async function nearestCandidates(
  files: readonly IncompleteFile[],
  { index, scanModes }: Tools,
): Promise<Candidate[][]> {
  if (files.length === 0) return [];
  const names = files.flatMap(({ name, length }) => [
    { name, min: Math.floor(length / 2), max: length * 2, limit: OF_NAME },
    { name, ...ALL_SIZES, limit: OF_ANY_SIZE },
  ]);
  const byName = await index.byName(names);
  const bySize = await index.bySize(
    files.map(({ length }) => ({ min: length, max: length, near: length, limit: length === 0 ? 0 : OF_SIZE })),
  );
  const archived = await index.archived(
    files.flatMap(({ name, length }) => [
      { name, size: length, limit: OF_SIZE },
      { size: length, limit: OF_SIZE },
    ]),
  );
  const leftOut = await index.leftOut(files.map(({ name }) => ({ name, ...ALL_SIZES, limit: OF_SIZE })));
  return files.map((file, i) => {
    const found = new Map<string, Candidate>();
    const add = (candidate: Candidate): void => {
      const key = `${candidate.path.toString('latin1')}\0${candidate.member?.toString('latin1') ?? ''}`;
      if (!found.has(key) && !file.used.has(candidate.path.toString('latin1'))) found.set(key, candidate);
    };
    const named = [...(byName[2 * i] ?? []), ...(byName[2 * i + 1] ?? [])];
    const sized = bySize[i] ?? [];
    const sizes = new Map([...named, ...sized].map(({ path, size }) => [path.toString('latin1'), size]));
    const inArchives = [...(archived[2 * i] ?? []), ...(archived[2 * i + 1] ?? [])];
    const volumes = new Set(inArchives.map(({ archive }) => archive.path.toString('latin1')));
    const refused = new Map(file.match.refused.map(({ source, code }) => [source.toString('latin1'), code]));
    for (const { source, code } of file.match.refused) {
      const key = source.toString('latin1');
      if (!volumes.has(key)) add({ path: source, size: sizes.get(key) ?? null, code, says: REFUSED[code] ?? code });
    }
    const near = named.toSorted((a, b) => Math.abs(a.size - file.length) - Math.abs(b.size - file.length));
    for (const one of near.slice(0, MOST_SHOWN)) add(ofName(one, file, scanModes));
    for (const { path, size, code } of leftOut[i] ?? []) {
      const differs = code === 'ignored' && size !== null && size !== file.length;
      add({ path, size, code, says: `${REFUSED[code] ?? code}${differs ? `; ${difference(size, file.length)}` : ''}` });
    }
    for (const { archive, name, size } of inArchives) {
      const code = refused.get(archive.path.toString('latin1'));
      const says = code === undefined ? 'holds a file of its size, which was not tried' : (REFUSED[code] ?? code);
      add({ path: archive.path, member: name, size, code: code ?? 'no-candidate', says });
    }
    for (const one of sized) add(ofSize(one, file, scanModes));
    return [...found.values()].slice(0, MOST_SHOWN);
  });
}

function ofName({ path, size, release }: CollectionFile, file: IncompleteFile, modes: readonly MatchMode[]): Candidate {
  if (size !== file.length)
    return { path, size, code: 'size', says: `has its name, but ${difference(size, file.length)}` };
  if (file.match.code === 'not-in-release') {
    return {
      path,
      size,
      code: 'not-in-release',
      says: 'has its name and size, but is not in a folder that is its release',
    };
  }
  if (file.match.code === 'limit') return { path, size, code: 'limit', says: 'was not tried: hash_limit was reached' };
  if (release !== null && modes.includes('unsplitable')) {
    const says = 'has its name and size, but belongs to another release, which unsplitable keeps together';
    return { path, size, code: 'not-in-release', says };
  }
  return { path, size, code: 'no-candidate', says: 'has its name and size, but was not taken' };
}

function ofSize({ path, name, size }: CollectionFile, file: IncompleteFile, modes: readonly MatchMode[]): Candidate {
  if (normaliseName(name) === normaliseName(file.name))
    return ofName({ path, name, size, release: null, folder: 0 }, file, modes);
  if (file.match.code === 'limit') return { path, size, code: 'limit', says: 'was not tried: hash_limit was reached' };
  const says = modes.includes('hash_size')
    ? 'has its size under another name, and was not taken'
    : 'has its size under another name: scan_mode = hash_size would try it';
  return { path, size, code: 'no-candidate', says };
}

function difference(size: number, wanted: number): string {
  const bytes = Math.abs(size - wanted);
  return `${bytes} ${bytes === 1 ? 'byte' : 'bytes'} ${size > wanted ? 'more' : 'fewer'}`;
}
