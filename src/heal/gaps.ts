/**
 * Finds bytes for the gaps of an entry: a file came back that was lost, or one came that was never there. Only what is a gap
 * still is mapped: what a client has written meanwhile stays above it.
 */
import type { CollectionIndex } from '../collection/index.ts';
import { GAP } from '../extent/extent.ts';
import type { Remap } from './case.ts';
import type { EntryPieces, HealFile } from './entry-pieces.ts';
import { type AlignCandidate, Realignment, type RealignTools } from './realign.ts';
import { remapOf } from './remaps.ts';
import { type Sight, sourceOf } from './sight.ts';

export interface GapTools extends RealignTools {
  readonly sight: Sight;
  readonly index: () => Promise<CollectionIndex | undefined>;
  /** Not in the files that supply the rest: nothing has happened to them. */
  readonly onlyNew: boolean;
}

/** Files of the right name and size that are tried for one file. */
const MOST_NAMED = 8;

/** Gives a mapping for each file of which something was found. @throws the signal's reason; errors of the index and the pool */
export async function fillGaps(pieces: EntryPieces, tools: GapTools): Promise<readonly Remap[]> {
  const remaps: Remap[] = [];
  const { infoHash, since, epoch, files } = pieces.entry;
  for (const file of files.values()) {
    if (!file.extents.some(({ source, length }) => source === GAP && length > 0)) continue;
    const candidates = await candidatesFor(file, pieces, tools);
    if (candidates.length === 0) continue;
    // A gap has no place in a source: its bytes are looked for where those of the whole file would be.
    const extents = file.extents.map((extent) =>
      extent.source === GAP ? { ...extent, sourceOffset: extent.offset } : extent,
    );
    const realignment = new Realignment(pieces, GAP, { ...file, extents }, tools);
    for (const candidate of candidates) if (realignment.wants) await realignment.run(candidate);
    const found = await realignment.finish();
    if (found.parts.length === 0) continue;
    const { index, version } = file;
    const how = 'supplies bytes that were missing';
    remaps.push(remapOf({ id: GAP, infoHash, since, epoch, index, version, how }, found, candidates));
  }
  return remaps;
}

/** The files that supply the rest of it, as they are now, those that have come, and those of its name and size. */
async function candidatesFor(
  { index, extents }: HealFile,
  { entry: { metainfo, sources, places } }: EntryPieces,
  tools: GapTools,
): Promise<AlignCandidate[]> {
  const wanted = metainfo.files[index];
  const name = wanted?.path.at(-1);
  const collection = await tools.index();
  const [named = []] =
    collection === undefined || wanted === undefined || name === undefined
      ? []
      : await collection.byNameAndSize([{ name, size: wanted.length }]);
  const own = tools.onlyNew ? [] : extents.flatMap(({ source }) => sources.get(source)?.path ?? []);
  const candidates = new Map<string, AlignCandidate>();
  const isNew = new Set(places.map((place) => place.toString('latin1')));
  for (const path of [...own, ...places, ...named.slice(0, MOST_NAMED).map((file) => file.path)]) {
    const seen = await tools.sight.look(path);
    if (seen === undefined || seen.size === 0) continue;
    // It came for another file.
    if (isNew.has(path.toString('latin1')) && seen.size !== wanted?.length) continue;
    const source = sourceOf(seen);
    if (!candidates.has(source.inode)) candidates.set(source.inode, { seen, source, named: true });
  }
  return [...candidates.values()];
}
