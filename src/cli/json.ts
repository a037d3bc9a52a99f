/**
 * Makes the documents that `--json` prints: a contract with users' scripts. docs/json.md describes them with an example
 * of each. Fields may be added; none is renamed or dropped.
 */
import type { Candidate } from '../app/explain/candidates.ts';
import type { ExplainedPath } from '../app/explain/explain-path.ts';
import type { ExplainedTorrent } from '../app/explain/explain-torrent.ts';
import type { ExportedEntry } from '../app/export/export-entry.ts';
import { healthText } from '../app/health.ts';
import type { ListedEntry } from '../app/list.ts';
import type { RemovedEntry } from '../app/remove.ts';
import type { ScrubbedEntry } from '../app/scrub/scrub.ts';
import type { Relocated } from '../app/settling/relocate.ts';
import type { SettledSource } from '../app/settling/settle-sources.ts';
import type { VerifiedEntry } from '../app/verify.ts';
import { shownPath } from '../bytes/shown-path.ts';
import type { MountOwner } from '../config/mount-owner.ts';
import type {
  Discarded,
  ProtectedEntry,
  Released,
  RepairNews,
  ServedDifference,
  ServedEntry,
  ServedExtent,
  ServedFile,
  ServedSource,
  ServerStatus,
} from '../control/served.ts';

export type EntryJson = ReturnType<typeof entryJson>;
export type ListedJson = ReturnType<typeof listedJson>;
export type FileJson = ReturnType<typeof fileJson>;
export type StatusJson = ReturnType<typeof statusJson>;
export type VerifiedJson = ReturnType<typeof verifiedJson>;
export type SettledJson = ReturnType<typeof settledJson>;
export type ScrubbedJson = ReturnType<typeof scrubbedJson>;
export type DiscardJson = ReturnType<typeof discardJson>;
export type DifferenceJson = ReturnType<typeof differenceJson>;
export type ExportedJson = ReturnType<typeof exportedJson>;

export function entryJson(entry: ServedEntry) {
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
    ...(entry.health === 'ok' ? {} : { health_detail: healthText(entry) }),
  };
}

export function listedJson({ client, ...entry }: ListedEntry) {
  return {
    ...entryJson(entry),
    client_state: client.state,
    ...(client.progress === undefined ? {} : { client_progress: client.progress }),
    ...(client.message === undefined ? {} : { client_message: client.message }),
  };
}

export function fileJson(file: ServedFile) {
  const { path, length, status, state, mode, code, extents } = file;
  return {
    path,
    length,
    status,
    state,
    mode,
    ...(code === undefined ? {} : { code }),
    extents: extents.map(extentJson),
    written_bytes: file.writtenBytes,
    written_ranges: file.writtenRanges,
  };
}

function extentJson({ offset, length, sourceOffset, source, kept, pinned, sourceState, kind }: ServedExtent) {
  const shown = source === undefined ? { source: null } : shownPath(source);
  const state = sourceState === undefined ? {} : { source_state: sourceState };
  const marks = { ...(kept && { kept }), ...(pinned && { pinned }) };
  return { offset, length, source_offset: sourceOffset, ...shown, kind, ...marks, ...state };
}

export function sourceJson({ path, state, since, reason, story }: ServedSource) {
  return {
    ...shownPath(path),
    state,
    ...(since === undefined ? {} : { since: since.toISOString() }),
    ...(reason === undefined ? {} : { reason }),
    story: story.map(({ at, from, to, how }) => {
      const [{ source: before, source_bytes: beforeBytes }, { source: after, source_bytes: afterBytes }] = [
        shownPath(from),
        shownPath(to),
      ];
      return {
        at: at.toISOString(),
        from: before,
        ...(beforeBytes === undefined ? {} : { from_bytes: beforeBytes }),
        to: after,
        ...(afterBytes === undefined ? {} : { to_bytes: afterBytes }),
        how,
      };
    }),
  };
}

/** `from`: `configuration`, `client` or `server`. */
export function ownerJson({ uid, gid, from }: MountOwner) {
  return { uid, gid, from };
}

export type ExplainedTorrentJson = ReturnType<typeof explainedTorrentJson>;
export type ExplainedPathJson = ReturnType<typeof explainedPathJson>;

export function explainedTorrentJson(found: ExplainedTorrent) {
  return {
    torrent: found.torrent,
    name: found.name,
    info_hash: found.infoHash,
    status: found.status,
    reason: found.reason,
    found_bytes: found.foundBytes,
    missing_bytes: found.missingBytes,
    total_files: found.totalFiles,
    incomplete_files: found.incompleteFiles,
    files: found.files.map(({ path, length, status, code, reason, candidates }) => ({
      path,
      length,
      status,
      code,
      reason,
      candidates: candidates.map(candidateJson),
    })),
  };
}

function candidateJson({ path, member, size, code, says }: Candidate) {
  return {
    ...shownPath(path),
    ...(member === undefined ? {} : { member: member.toString() }),
    size,
    code,
    reason: says,
  };
}

export function explainedPathJson({
  path,
  kind,
  size,
  indexed,
  code,
  says,
  release,
  uses,
  fits,
  unknown,
}: ExplainedPath) {
  return {
    ...shownPath(path),
    kind,
    ...(size === undefined ? {} : { size }),
    indexed,
    ...(code === undefined ? {} : { code }),
    reason: says,
    ...(release === undefined ? {} : { release: release.toString() }),
    ...(uses === undefined
      ? {}
      : { uses: uses.map(({ entry, infoHash, sources }) => ({ entry, info_hash: infoHash, sources })) }),
    ...(unknown === undefined ? {} : { unknown }),
    ...(fits === undefined
      ? {}
      : { fits: fits.map(({ entry, infoHash, file, bytes }) => ({ entry, info_hash: infoHash, file, bytes })) }),
  };
}

export function statusJson(status: ServerStatus) {
  return {
    version: status.version,
    pid: status.pid,
    driver: status.driver,
    ...(status.driverDetail === undefined ? {} : { driver_detail: status.driverDetail }),
    ...(status.driverReason === undefined ? {} : { driver_reason: status.driverReason }),
    mount_point: status.mountPoint,
    visible_to: status.visibleTo,
    ...(status.owner === undefined ? {} : { owner: ownerJson(status.owner) }),
    read_only: status.readOnly,
    uptime_seconds: status.uptimeSeconds,
    entries: status.entries,
    adding: status.adding,
    deleted: status.deleted,
    overwritten: status.overwritten,
    opens: status.opens,
    open_handles: status.openHandles,
    reads: status.reads,
    bytes_read: status.bytesRead,
    read_errors: status.readErrors,
    broken_sources: status.brokenSources.map(({ path, reason, servedFrom }) => ({
      path,
      reason,
      ...(servedFrom === undefined ? {} : { served_from: servedFrom }),
    })),
    broken_entries: status.brokenEntries,
    sources: status.sources,
    scrub: scrubJson(status.scrub),
    watch: {
      file_systems: status.watch.fileSystems.map(({ mountPoint, kind, marks, unwatched, why, overflows }) => ({
        mount_point: mountPoint,
        kind,
        marks,
        unwatched,
        ...(why === undefined ? {} : { why }),
        overflows,
      })),
      asleep: status.watch.asleep,
    },
    healer: {
      open: status.healer.open,
      urgent: status.healer.urgent,
      settled: status.healer.settled,
      ...(status.healer.oldest === undefined ? {} : { oldest: status.healer.oldest.toISOString() }),
    },
    repair: {
      on_loss: status.repair.onLoss,
      queued: status.repair.queued,
      spent_bytes: status.repair.spentBytes,
      limit_bytes: status.repair.limitBytes,
    },
    leases: status.leases,
    passthrough: status.passthrough,
    kept: status.kept,
    pins: status.pins,
    descriptors: {
      sources: status.descriptors.sources,
      held: status.descriptors.held,
      hanging_bytes: status.descriptors.hangingBytes,
    },
    writes: status.writes,
    bytes_written: status.bytesWritten,
    overlay_bytes: status.overlayBytes ?? null,
    overlay_problems: status.overlayProblems.map(({ path, problem }) => ({ path, problem })),
  };
}

function scrubJson({ when, state, progress, provenPieces, badPieces, asleep }: ServerStatus['scrub']) {
  return {
    when,
    state,
    ...(progress === undefined
      ? {}
      : { entry: progress.name, done_bytes: progress.doneBytes, total_bytes: progress.totalBytes }),
    proven_pieces: provenPieces,
    bad_pieces: badPieces,
    asleep,
  };
}

/** `repair`: what became of it, with `--repair`. */
export function verifiedJson(entry: VerifiedEntry, repair?: RepairNews) {
  return {
    name: entry.name,
    info_hash: entry.infoHash,
    pieces: entry.pieces,
    verified_pieces: entry.verifiedPieces,
    bad_pieces: entry.badPieces,
    contradictory_pieces: entry.contradictoryPieces,
    missing_pieces: entry.missingPieces,
    unreadable: entry.unreadable,
    unproven: entry.unproven,
    broken: entry.broken,
    sources: entry.sources.map(settledJson),
    returned_bytes: entry.returnedBytes,
    pooled: entry.pooled,
    ...(entry.skipped === undefined ? {} : { skipped: entry.skipped }),
    ...(repair === undefined ? {} : { repair: repairJson(repair) }),
  };
}

export function settledJson({ path, found, state, now, done }: SettledSource) {
  const [was, to] = [shownPath(path), now === undefined ? undefined : shownPath(now)];
  return {
    path: was.source,
    ...(was.source_bytes === undefined ? {} : { path_bytes: was.source_bytes }),
    found,
    state,
    ...(to === undefined ? {} : { now: to.source }),
    ...(to?.source_bytes === undefined ? {} : { now_bytes: to.source_bytes }),
    done,
  };
}

export function relocatedJson({ relocated, doubted, missing, different, skipped }: Relocated) {
  return { relocated, doubted, missing, different, skipped };
}

export function scrubbedJson(entry: ScrubbedEntry) {
  return {
    name: entry.name,
    info_hash: entry.infoHash,
    pieces: entry.pieces,
    proven_pieces: entry.provenPieces,
    bad_pieces: entry.badPieces,
    missing_pieces: entry.missingPieces,
    left_pieces: entry.leftPieces,
    damaged: entry.damaged.map(({ path, reason }) => ({ ...shownPath(path), reason })),
  };
}

export function releasedJson({ mountPoints, sources, open }: Released) {
  return { mount_points: mountPoints.map((path) => path.toString()), sources, open };
}

function repairJson({ outcome, bytes, message }: RepairNews) {
  return { outcome, lost_bytes: bytes ?? 0, ...(message === undefined ? {} : { message }) };
}

export function protectedJson({ name, infoHash, sources, bytes, made, off, unpinned }: ProtectedEntry) {
  return { name, info_hash: infoHash, sources, bytes, made, off, unpinned };
}

export function removedJson({ name, infoHash, fromClient }: RemovedEntry) {
  return { name, info_hash: infoHash, from_client: fromClient };
}

export function differenceJson(difference: ServedDifference) {
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

export function discardJson({ name, infoHash }: ServedEntry, { discarded, bytes, kept }: Discarded) {
  return {
    name,
    info_hash: infoHash,
    discarded,
    bytes,
    kept: kept.map(({ path, reason }) => ({ path, reason })),
  };
}

export function exportedJson(exported: ExportedEntry) {
  const { name, infoHash, destination, files, bytes } = exported;
  return {
    name,
    info_hash: infoHash,
    destination,
    files,
    bytes,
    copied_bytes: exported.copiedBytes,
    zero_bytes: exported.zeroBytes,
    incomplete: exported.incomplete.map(({ path, missingBytes }) => ({ path, missing_bytes: missingBytes })),
    shortened: exported.shortened.map(({ path, copy }) => ({ path, copy })),
  };
}
