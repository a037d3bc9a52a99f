/** Says of a torrent that lacks too much if `hash_size` may find it: a library that was renamed is found by sizes alone. */
import type { CollectionIndex } from '../collection/index.ts';
import { GAP } from '../extent/extent.ts';
import type { MatchMode, TorrentMatch } from '../match/match.ts';

/** A torrent may have a million files. */
const ASKED_AT_ONCE = 16_384;

/** A file that is not complete. */
interface Lacking {
  readonly size: number;
  readonly missing: number;
  /** Candidates that hashing has refused, or that supply a part already: as latin1. */
  readonly known: ReadonlySet<string>;
}

/**
 * Gives a clause (`try hash_size: 9 of 10 files have one of their size`), if files that the match has not looked at have the sizes of
 * at least half of the missing bytes. Undefined where a mode has looked at them already. Reads no file: it asks the index
 * once for each size.
 */
export async function sizeAdvice(
  match: TorrentMatch,
  index: CollectionIndex,
  scanModes: readonly MatchMode[],
): Promise<string | undefined> {
  if (scanModes.includes('hash_size') || scanModes.includes('hash_slow')) return undefined;
  const lacking = lackingFiles(match);
  const limits = new Map<number, number>();
  for (const { size, known } of lacking) limits.set(size, Math.max(limits.get(size) ?? 0, known.size + 1));
  const questions = [...limits].map(([size, limit]) => ({ min: size, max: size, near: size, limit }));
  const found = new Map<number, string[]>();
  for (let from = 0; from < questions.length; from += ASKED_AT_ONCE) {
    const some = questions.slice(from, from + ASKED_AT_ONCE);
    for (const [i, files] of (await index.bySize(some)).entries()) {
      if (files.length > 0) {
        found.set(
          some[i]?.near ?? 0,
          files.map(({ path }) => path.toString('latin1')),
        );
      }
    }
  }
  let files = 0;
  let bytes = 0;
  for (const { size, missing, known } of lacking) {
    if (found.get(size)?.some((path) => !known.has(path)) !== true) continue;
    files++;
    bytes += missing;
  }
  // The size of an .nfo says nothing: some file has it.
  if (bytes * 2 < match.missingBytes || files === 0) return undefined;
  return `try hash_size: ${files} of ${lacking.length} files have one of their size`;
}

const NONE: ReadonlySet<string> = new Set();

function lackingFiles({ files, metainfo, sources }: TorrentMatch): Lacking[] {
  return files.flatMap(({ status, extents, refused }, i) => {
    const file = metainfo.files[i];
    if (file === undefined || (status !== 'missing' && status !== 'partial')) return [];
    let missing = 0;
    const paths = refused.map(({ source }) => source);
    for (const { source, length } of extents) {
      const used = sources[source];
      if (source === GAP) missing += length;
      else if (used !== undefined) paths.push(used.path);
    }
    const known = paths.length === 0 ? NONE : new Set(paths.map((path) => path.toString('latin1')));
    return [{ size: file.length, missing, known }];
  });
}
