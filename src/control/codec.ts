/**
 * Translates between the domain types of use cases and server (`served.ts`) and the shapes on the socket
 * (`messages.ts`).
 */

import { shownPath } from '../bytes/shown-path.ts';
import type {
  DifferenceLine,
  DifferenceMessage,
  DueMessage,
  EntryMessage,
  ExtentMessage,
  FileMessage,
  LossesMessage,
  SourceMessage,
} from './messages.ts';
import type {
  DifferencePart,
  DueEntry,
  HealthDetail,
  Losses,
  ServedDifference,
  ServedEntry,
  ServedExtent,
  ServedFile,
  ServedSource,
} from './served.ts';

export function lossesMessage({ lostBytes, downloadBytes, unsettled, doubted }: Losses): LossesMessage {
  return { lost_bytes: lostBytes, download_bytes: downloadBytes, unsettled, doubted };
}

export function entryMessage(entry: ServedEntry): EntryMessage {
  return {
    name: entry.name,
    info_hash: entry.infoHash,
    ...(entry.infoHashV2 === undefined ? {} : { info_hash_v2: entry.infoHashV2 }),
    state: entry.state,
    kind: entry.kind,
    directory: entry.directory,
    torrent_name: entry.torrentName,
    created: entry.created.toISOString(),
    size: entry.size,
    mapped_bytes: entry.mappedBytes,
    downloaded_bytes: entry.downloadedBytes,
    missing_bytes: entry.missingBytes,
    files: entry.files,
    deleted_files: entry.deletedFiles,
    overwritten_files: entry.overwrittenFiles,
    pieces: entry.pieces,
    verified_pieces: entry.verifiedPieces,
    verify: entry.verify,
    health: entry.health,
    ...(entry.healthDetail === undefined ? {} : { health_detail: detailMessage(entry.healthDetail) }),
  };
}

export function entryOf(message: EntryMessage): ServedEntry {
  return {
    name: message.name,
    infoHash: message.info_hash,
    ...(message.info_hash_v2 === undefined ? {} : { infoHashV2: message.info_hash_v2 }),
    state: message.state,
    kind: message.kind,
    directory: message.directory,
    torrentName: message.torrent_name,
    created: new Date(message.created),
    size: message.size,
    mappedBytes: message.mapped_bytes,
    downloadedBytes: message.downloaded_bytes,
    missingBytes: message.missing_bytes,
    files: message.files,
    deletedFiles: message.deleted_files,
    overwrittenFiles: message.overwritten_files ?? 0,
    pieces: message.pieces,
    verifiedPieces: message.verified_pieces,
    verify: message.verify,
    health: message.health,
    ...(message.health_detail === undefined ? {} : { healthDetail: detailOf(message.health_detail) }),
  };
}

function detailMessage({
  ofSources,
  lostBytes,
  deletedFiles,
  overwrittenFiles,
  ...same
}: HealthDetail): NonNullable<EntryMessage['health_detail']> {
  return {
    ...same,
    ...(ofSources === undefined ? {} : { of_sources: ofSources }),
    ...(lostBytes === undefined ? {} : { lost_bytes: lostBytes }),
    ...(deletedFiles === undefined ? {} : { deleted_files: deletedFiles }),
    ...(overwrittenFiles === undefined ? {} : { overwritten_files: overwrittenFiles }),
  };
}

function detailOf({
  of_sources,
  lost_bytes,
  deleted_files,
  overwritten_files,
  ...same
}: NonNullable<EntryMessage['health_detail']>): HealthDetail {
  return {
    ...same,
    ...(of_sources === undefined ? {} : { ofSources: of_sources }),
    ...(lost_bytes === undefined ? {} : { lostBytes: lost_bytes }),
    ...(deleted_files === undefined ? {} : { deletedFiles: deleted_files }),
    ...(overwritten_files === undefined ? {} : { overwrittenFiles: overwritten_files }),
  };
}

export function sourceMessage({ path, state, since, reason, story }: ServedSource): SourceMessage {
  return {
    ...shownPath(path),
    state,
    ...(since === undefined ? {} : { since: since.toISOString() }),
    ...(reason === undefined ? {} : { reason }),
    story: story.map(({ at, from, to, how }) => {
      const [before, after] = [shownPath(from), shownPath(to)];
      return {
        at: at.toISOString(),
        from: before.source,
        ...(before.source_bytes === undefined ? {} : { from_bytes: before.source_bytes }),
        to: after.source,
        ...(after.source_bytes === undefined ? {} : { to_bytes: after.source_bytes }),
        how,
      };
    }),
  };
}

export function sourceOf({ source, source_bytes, state, since, reason, story }: SourceMessage): ServedSource {
  return {
    path: pathOf(source, source_bytes),
    state,
    ...(since === undefined ? {} : { since: new Date(since) }),
    ...(reason === undefined ? {} : { reason }),
    story: story.map(({ at, from, from_bytes, to, to_bytes, how }) => ({
      at: new Date(at),
      from: pathOf(from, from_bytes),
      to: pathOf(to, to_bytes),
      how,
    })),
  };
}

function pathOf(text: string, bytes: string | undefined): Buffer {
  return bytes === undefined ? Buffer.from(text) : Buffer.from(bytes, 'base64');
}

export function fileMessage(file: ServedFile): FileMessage {
  const { path, length, status, state, mode, code, extents } = file;
  return {
    path,
    length,
    status,
    state,
    mode,
    ...(code === undefined ? {} : { code }),
    extents: extents.map(extentMessage),
    written_bytes: file.writtenBytes,
    written_ranges: file.writtenRanges,
  };
}

export function fileOf(message: FileMessage): ServedFile {
  const { path, length, status, state, mode, code, extents } = message;
  return {
    path,
    length,
    status,
    state,
    mode,
    ...(code === undefined ? {} : { code }),
    extents: extents.map(extentOf),
    writtenBytes: message.written_bytes,
    writtenRanges: message.written_ranges,
  };
}

function extentMessage(extent: ServedExtent): ExtentMessage {
  const { offset, length, sourceOffset, kind, source, kept, pinned, sourceState } = extent;
  const shown = source === undefined ? { source: null } : shownPath(source);
  const state = sourceState === undefined ? {} : { source_state: sourceState };
  const marks = { ...(kept && { kept }), ...(pinned && { pinned }) };
  return { offset, length, source_offset: sourceOffset, ...shown, kind, ...marks, ...state };
}

function extentOf({
  offset,
  length,
  source_offset: sourceOffset,
  kind,
  source,
  source_bytes,
  kept,
  pinned,
  source_state: sourceState,
}: ExtentMessage): ServedExtent {
  const state = sourceState === undefined ? {} : { sourceState };
  const marks = { ...(kept && { kept }), ...(pinned && { pinned }) };
  const range = { offset, length, sourceOffset, kind, ...marks, ...state };
  if (source_bytes !== undefined) return { ...range, source: Buffer.from(source_bytes, 'base64') };
  return source === null ? range : { ...range, source: Buffer.from(source) };
}

export function dueMessage({ infoHash, pieceLength, doubted, unproven, old }: DueEntry): DueMessage {
  return { info_hash: infoHash, piece_length: pieceLength, doubted, unproven, old };
}

export function dueOf({
  info_hash: infoHash,
  piece_length: pieceLength,
  doubted,
  unproven,
  old,
}: DueMessage): DueEntry {
  return { infoHash, pieceLength, doubted, unproven, old };
}

export function differenceLine(part: DifferencePart): DifferenceLine {
  return 'moreRanges' in part ? { more_ranges: part.moreRanges } : differenceMessage(part);
}

export function differenceMessage(difference: ServedDifference): DifferenceMessage {
  const { path, type, changes, size, ranges, named } = difference;
  return {
    path,
    type,
    changes,
    size,
    planned_size: difference.plannedSize ?? null,
    base_size: difference.baseSize,
    written_bytes: difference.writtenBytes,
    ranges,
    named,
  };
}

/** Joins the lines of each difference. */
export async function* differencesOf(lines: AsyncIterable<DifferenceLine>): AsyncGenerator<ServedDifference> {
  let last: DifferenceMessage | undefined;
  for await (const line of lines) {
    if (!('more_ranges' in line)) {
      if (last !== undefined) yield differenceOf(last);
      last = line;
    } else if (last !== undefined) last = { ...last, ranges: last.ranges.concat(line.more_ranges) };
  }
  if (last !== undefined) yield differenceOf(last);
}

function differenceOf(message: DifferenceMessage): ServedDifference {
  const { path, type, changes, size, ranges, named } = message;
  return {
    path,
    type,
    changes,
    size,
    plannedSize: message.planned_size ?? undefined,
    baseSize: message.base_size,
    writtenBytes: message.written_bytes,
    ranges,
    named,
  };
}
