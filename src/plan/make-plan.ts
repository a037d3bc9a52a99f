/** Makes from a match the plan that the server stores. */
import type { TorrentMatch } from '../match/match.ts';
import { millisecondsOf } from '../native/timestamp.ts';
import type { Plan, PlanFile, PlanSource } from './plan.ts';

/** By which names a file is found again when its path leads there no longer. */
type PlaceOf = (path: Buffer, dev: number) => Pick<PlanSource, 'handle' | 'disk'>;

/** `nowMs`: the mtime of files that have no source. `placeOf`: absent where nothing will be stored. */
export function makePlan(match: TorrentMatch, nowMs: number, placeOf?: PlaceOf): Plan {
  const { metainfo } = match;
  const files = metainfo.files.map((file, i): PlanFile => {
    const found = match.files[i];
    if (found === undefined) throw new Error(`the match of ${match.name} lacks file ${i}`);
    const source = found.extents.find((extent) => extent.source >= 0)?.source;
    const recorded = source === undefined ? undefined : match.sources[source];
    // One shape for nearly all: a spread would take twice the memory, and there may be a million.
    const planned: PlanFile = {
      path: metainfo.multi ? [metainfo.name, ...file.path] : file.path,
      length: file.length,
      status: found.status,
      mode: found.mode,
      code: found.code,
      mtimeMs: recorded === undefined ? nowMs : millisecondsOf(recorded.mtimeNs),
      executable: file.executable,
      extents: found.extents,
    };
    // A link to nowhere is shown as an empty file.
    return file.symlink === undefined || file.symlink.length === 0 ? planned : { ...planned, symlink: file.symlink };
  });
  return {
    name: match.name,
    infoHash: metainfo.infoHash,
    ...(metainfo.infoHashV2 === undefined ? {} : { infoHashV2: metainfo.infoHashV2 }),
    metainfo: metainfo.raw,
    pieceCount: metainfo.pieceCount,
    pieceLength: metainfo.pieceLength,
    ...(metainfo.version === 'v2' ? { aligned: true } : {}),
    verified: match.verified,
    verify: match.verify,
    totalLength: metainfo.totalLength,
    missingBytes: match.missingBytes,
    sources:
      placeOf === undefined
        ? match.sources
        : match.sources.map((source) => ({ ...source, ...placeOf(source.path, source.dev) })),
    files,
  };
}
