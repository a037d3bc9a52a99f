/** Translates the status of a server between its domain type (`served.ts`) and its shape on the socket (`messages.ts`). */
import type { StatusMessage } from './messages.ts';
import type { DescriptorStatus, HealerStatus, RepairStatus, ScrubStatus, ServerStatus, WatchStatus } from './served.ts';

type WatchMessage = NonNullable<StatusMessage['watch']>;
type HealerMessage = NonNullable<StatusMessage['healer']>;
type DescriptorMessage = NonNullable<StatusMessage['descriptors']>;
type RepairMessage = NonNullable<StatusMessage['repair']>;
type ScrubMessage = NonNullable<StatusMessage['scrub']>;

function scrubMessage({ provenPieces, badPieces, progress, ...same }: ScrubStatus): ScrubMessage {
  const { name = '', doneBytes = 0, totalBytes = 0 } = progress ?? {};
  return {
    ...same,
    ...(progress === undefined ? {} : { progress: { name, done_bytes: doneBytes, total_bytes: totalBytes } }),
    proven_pieces: provenPieces,
    bad_pieces: badPieces,
  };
}

function scrubOf({ proven_pieces, bad_pieces, progress, ...same }: ScrubMessage): ScrubStatus {
  const { name = '', done_bytes: doneBytes = 0, total_bytes: totalBytes = 0 } = progress ?? {};
  return {
    ...same,
    ...(progress === undefined ? {} : { progress: { name, doneBytes, totalBytes } }),
    provenPieces: proven_pieces,
    badPieces: bad_pieces,
  };
}

export function statusMessage(status: ServerStatus): StatusMessage {
  return {
    version: status.version,
    pid: status.pid,
    driver: status.driver,
    ...(status.driverDetail === undefined ? {} : { driver_detail: status.driverDetail }),
    ...(status.driverReason === undefined ? {} : { driver_reason: status.driverReason }),
    mount_point: status.mountPoint,
    visible_to: status.visibleTo,
    ...(status.owner === undefined ? {} : { owner: status.owner }),
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
    scrub: scrubMessage(status.scrub),
    watch: watchMessage(status.watch),
    healer: healerMessage(status.healer),
    repair: repairMessage(status.repair),
    leases: status.leases,
    passthrough: status.passthrough,
    kept: status.kept,
    pins: status.pins,
    descriptors: descriptorMessage(status.descriptors),
    writes: status.writes,
    bytes_written: status.bytesWritten,
    overlay_bytes: status.overlayBytes ?? null,
    overlay_problems: status.overlayProblems,
  };
}

export function statusOf(message: StatusMessage): ServerStatus {
  return {
    version: message.version,
    pid: message.pid,
    driver: message.driver,
    driverDetail: message.driver_detail,
    driverReason: message.driver_reason,
    mountPoint: message.mount_point,
    visibleTo: message.visible_to,
    owner: message.owner,
    readOnly: message.read_only,
    uptimeSeconds: message.uptime_seconds,
    entries: message.entries,
    adding: message.adding,
    opens: message.opens,
    openHandles: message.open_handles,
    reads: message.reads,
    bytesRead: message.bytes_read,
    readErrors: message.read_errors,
    brokenSources: message.broken_sources.map(({ path, reason, served_from: servedFrom }) => ({
      path,
      reason,
      ...(servedFrom === undefined ? {} : { servedFrom }),
    })),
    brokenEntries: message.broken_entries,
    // A server of an older version, which `unmount` must reach, has none of these.
    deleted: message.deleted ?? { entries: 0, files: 0 },
    overwritten: message.overwritten ?? { entries: 0, files: 0 },
    sources: message.sources ?? { doubted: 0, healing: 0, lost: 0, waiting: [] },
    scrub: scrubOf(message.scrub ?? { when: 'off', state: 'off', proven_pieces: 0, bad_pieces: 0, asleep: [] }),
    watch: watchOf(message.watch ?? { file_systems: [], asleep: [] }),
    healer: healerOf(message.healer ?? { open: 0, urgent: 0, settled: 0 }),
    repair: repairOf(message.repair ?? { on_loss: 'tell', queued: 0, spent_bytes: 0, limit_bytes: 0 }),
    leases: message.leases ?? { held: 0, awaited: 0 },
    passthrough: message.passthrough ?? { files: 0, changed: 0 },
    kept: message.kept ?? [],
    pins: message.pins ?? [],
    descriptors: descriptorsOf(message.descriptors ?? { sources: 0, held: 0, hanging_bytes: 0 }),
    writes: message.writes,
    bytesWritten: message.bytes_written,
    overlayBytes: message.overlay_bytes ?? undefined,
    overlayProblems: message.overlay_problems,
  };
}

function watchMessage({ fileSystems, asleep }: WatchStatus): WatchMessage {
  return { file_systems: fileSystems.map(({ mountPoint, ...same }) => ({ mount_point: mountPoint, ...same })), asleep };
}

function watchOf({ file_systems: fileSystems, asleep }: WatchMessage): WatchStatus {
  return { fileSystems: fileSystems.map(({ mount_point: mountPoint, ...same }) => ({ mountPoint, ...same })), asleep };
}

function healerMessage({ oldest, ...same }: HealerStatus): HealerMessage {
  return { ...same, ...(oldest === undefined ? {} : { oldest: oldest.toISOString() }) };
}

function healerOf({ oldest, ...same }: HealerMessage): HealerStatus {
  return { ...same, ...(oldest === undefined ? {} : { oldest: new Date(oldest) }) };
}

function descriptorMessage({ hangingBytes, ...same }: DescriptorStatus): DescriptorMessage {
  return { ...same, hanging_bytes: hangingBytes };
}

function descriptorsOf({ hanging_bytes: hangingBytes, ...same }: DescriptorMessage): DescriptorStatus {
  return { ...same, hangingBytes };
}

function repairMessage({ onLoss, queued, spentBytes, limitBytes }: RepairStatus): RepairMessage {
  return { on_loss: onLoss, queued, spent_bytes: spentBytes, limit_bytes: limitBytes };
}

function repairOf({
  on_loss: onLoss,
  queued,
  spent_bytes: spentBytes,
  limit_bytes: limitBytes,
}: RepairMessage): RepairStatus {
  return { onLoss, queued, spentBytes, limitBytes };
}
