/**
 * Translates between sources and cases (`heal/case.ts`) and their messages (`case-messages.ts`). What comes in is checked: all
 * `…In` functions throw AutotorrentError('USAGE') for anything else.
 */
import { shownPath } from '../bytes/shown-path.ts';
import { AutotorrentError } from '../errors.ts';
import { GAP } from '../extent/extent.ts';
import type { Case, HealRecord, MappedRange, Now, Outcome, Was } from '../heal/case.ts';
import type { DiskNow, IndexQuestion } from '../server/settling/index-renewal.ts';
import type { FileHandle, FileIdentity } from '../source/identity.ts';
import { isNormalPath } from '../source/paths.ts';
import type {
  CaseMessage,
  ConditionMessage,
  DiskMessage,
  HandleMessage,
  IdentityMessage,
  KnownSourceMessage,
  MappingLine,
  OutcomeMessage,
  RecordMessage,
  SuspectMessage,
} from './case-messages.ts';
import type { CaseTicket, KnownSource, MappingPart, SuspectSource } from './cases-served.ts';

/** Ranges, sources and pieces that one outcome may name. */
const MOST_OF_LIST = 200_000;
const LONGEST_PATH = 16_384;
const LONGEST_TEXT = 4096;
/** name_to_handle_at(2) gives at most MAX_HANDLE_SZ. */
const LONGEST_HANDLE = 128;

export function identityMessage({ size, dev, ino, mtimeNs, ctimeNs }: FileIdentity): IdentityMessage {
  return {
    size,
    dev,
    ino: String(ino),
    mtime_ns: String(mtimeNs),
    ctime_ns: ctimeNs === undefined ? null : String(ctimeNs),
  };
}

export function recordMessage(record: HealRecord | Now): RecordMessage {
  const { path, handle, disk } = record;
  const { source, source_bytes } = shownPath(path);
  return {
    path: source,
    ...(source_bytes === undefined ? {} : { path_bytes: source_bytes }),
    ...identityMessage(record),
    ...(handle === undefined ? {} : { handle: handleMessage(handle) }),
    ...(disk === undefined ? {} : { disk }),
  };
}

function handleMessage({ type, bytes, folder }: FileHandle): HandleMessage {
  return {
    type,
    bytes: bytes.toString('base64'),
    ...(folder === undefined ? {} : { folder: handleMessage(folder) }),
  };
}

export function knownSourceMessage({ id, record, condition, last, infoHashes }: KnownSource): KnownSourceMessage {
  return {
    id,
    ...recordMessage(record),
    ...(condition === undefined
      ? {}
      : {
          condition: {
            state: condition.state,
            reason: condition.reason,
            since: condition.sinceMs,
            ...(condition.observed === undefined ? {} : { observed: identityMessage(condition.observed) }),
            ...(condition.failed === undefined ? {} : { failed: condition.failed }),
          },
        }),
    ...(last === undefined ? {} : { last: { how: last.how, at: last.atMs } }),
    ...(infoHashes === undefined ? {} : { info_hashes: infoHashes }),
  };
}

export function caseMessage({ one, urgent, infoHashes }: CaseTicket): CaseMessage {
  const { id, record, spares, kept, state, reason, sinceMs, observed, failed, seenDeleted, givenUp } = one;
  const condition: ConditionMessage = {
    state,
    reason,
    since: sinceMs,
    ...(observed === undefined ? {} : { observed: identityMessage(observed) }),
    ...(failed === undefined ? {} : { failed }),
  };
  return {
    id,
    ...recordMessage(record),
    condition,
    spares: spares.map(recordMessage),
    ...(kept.length === 0 ? {} : { kept: kept.map(recordMessage) }),
    seen_deleted: seenDeleted,
    given_up: givenUp,
    urgent,
    info_hashes: infoHashes,
  };
}

export function caseIn(message: CaseMessage): CaseTicket {
  const {
    id,
    condition,
    spares,
    kept = [],
    seen_deleted: seenDeleted,
    given_up: givenUp,
    urgent,
    info_hashes: infoHashes,
  } = message;
  const { observed, failed } = condition;
  const one: Case = {
    id,
    record: recordIn(message),
    spares: spares.map(recordIn),
    kept: kept.map(recordIn),
    state: condition.state,
    reason: condition.reason,
    sinceMs: condition.since,
    ...(observed === undefined ? {} : { observed: identityIn(observed) }),
    ...(failed === undefined ? {} : { failed }),
    seenDeleted,
    givenUp,
  };
  return { one, urgent, infoHashes };
}

export function knownSourceIn(message: KnownSourceMessage): KnownSource {
  const { id, condition, last, info_hashes: infoHashes } = message;
  return {
    id,
    record: recordIn(message),
    ...(condition === undefined
      ? {}
      : {
          condition: {
            state: condition.state,
            reason: condition.reason,
            sinceMs: condition.since,
            ...(condition.observed === undefined ? {} : { observed: identityIn(condition.observed) }),
            ...(condition.failed === undefined ? {} : { failed: condition.failed }),
          },
        }),
    ...(last === undefined ? {} : { last: { how: last.how, atMs: last.at } }),
    ...(infoHashes === undefined ? {} : { infoHashes }),
  };
}

export function outcomeMessage(outcome: Outcome): OutcomeMessage {
  if (outcome.kind === 'same') {
    const { id, was, now, trusted, how } = outcome;
    const { source, source_bytes } = shownPath(was.path);
    return {
      kind: 'same',
      id,
      was: {
        path: source,
        ...(source_bytes === undefined ? {} : { path_bytes: source_bytes }),
        size: was.size,
        mtime_ns: String(was.mtimeNs),
        ctime_ns: was.ctimeNs === undefined ? null : String(was.ctimeNs),
      },
      now: recordMessage(now),
      trusted,
      how,
    };
  }
  if (outcome.kind !== 'remap') return outcome;
  const { id, infoHash, index, version, since, epoch, ranges, sources, proven, how } = outcome;
  return {
    kind: 'remap',
    id,
    info_hash: infoHash,
    index,
    version,
    since,
    epoch,
    ranges: ranges.map(({ offset, length, source, sourceOffset }) => [offset, length, source, sourceOffset]),
    sources: sources.map(recordMessage),
    proven,
    how,
  };
}

export function outcomeIn(value: unknown): Outcome {
  const message = object(value);
  const id = message['kind'] === 'remap' ? 0 : natural(message['id'], 'id');
  switch (message['kind']) {
    case 'same':
      return {
        kind: 'same',
        id,
        was: wasIn(message['was']),
        now: recordIn(message['now']),
        trusted: message['trusted'] === true,
        how: text(message['how'], 'how'),
      };
    case 'remap':
      return {
        kind: 'remap',
        id: message['id'] === GAP ? GAP : natural(message['id'], 'id'),
        infoHash: text(message['info_hash'], 'info_hash'),
        index: natural(message['index'], 'index'),
        version: natural(message['version'], 'version'),
        since: natural(message['since'], 'since'),
        epoch: natural(message['epoch'], 'epoch'),
        ranges: list(message['ranges'], 'ranges').map(rangeIn),
        sources: list(message['sources'], 'sources').map(recordIn),
        proven: list(message['proven'], 'proven').map((piece) => natural(piece, 'proven')),
        how: text(message['how'], 'how'),
      };
    case 'waiting': {
      const disk = message['disk'];
      const reason = text(message['reason'], 'reason');
      return { kind: 'waiting', id, reason, ...(disk === undefined ? {} : { disk: text(disk, 'disk') }) };
    }
    case 'lost':
      return { kind: 'lost', id, reason: text(message['reason'], 'reason') };
    case 'later': {
      const reason = text(message['reason'], 'reason');
      const { awaits, due } = message;
      return {
        kind: 'later',
        id,
        reason,
        ...(awaits === 'index' ? { awaits } : {}),
        ...(due === undefined ? {} : { due: natural(due, 'due') }),
      };
    }
    default:
      throw refused('kind');
  }
}

export function suspectMessage({ id, reason, found }: SuspectSource): SuspectMessage {
  return { id, reason, ...(found === undefined ? {} : { found: identityMessage(found) }) };
}

export function suspectIn(value: unknown): SuspectSource {
  const message = object(value);
  const { found } = message;
  const suspect = { id: natural(message['id'], 'id'), reason: text(message['reason'], 'reason') };
  return found === undefined ? suspect : { ...suspect, found: identityIn(found) };
}

export function diskMessage({ path, fileSystems }: DiskNow): DiskMessage {
  return { path, file_systems: fileSystems };
}

export function indexQuestionIn(value: unknown): IndexQuestion & { readonly missing: readonly string[] } {
  const message = object(value);
  return {
    id: natural(message['id'], 'id'),
    leftMs: natural(message['left'], 'left'),
    disks: disksIn(message),
    missing: list(message['missing'], 'missing').map((path) => text(path, 'missing', LONGEST_PATH)),
  };
}

export function indexRenewedIn(value: unknown): {
  readonly disks: readonly DiskNow[];
  readonly begunMs: number;
  readonly failed?: string;
} {
  const message = object(value);
  const { failed } = message;
  return {
    disks: disksIn(message),
    begunMs: natural(message['begun'], 'begun'),
    ...(failed === undefined ? {} : { failed: text(failed, 'failed') }),
  };
}

function disksIn(message: Readonly<Record<string, unknown>>): DiskNow[] {
  return list(message['disks'], 'disks').map((value) => {
    const disk = object(value);
    return {
      path: text(disk['path'], 'path', LONGEST_PATH),
      fileSystems: list(disk['file_systems'], 'file_systems').map((one) => text(one, 'file_systems')),
    };
  });
}

export function idsIn(value: unknown): number[] {
  return list(object(value)['ids'], 'ids').map((id) => natural(id, 'ids'));
}

/** Reads a path that is sent in base64. */
export function folderIn(value: unknown): Buffer {
  const path = Buffer.from(text(value, 'folder', LONGEST_PATH * 2), 'base64');
  if (!isNormalPath(path)) throw refused('folder');
  return path;
}

export function recordIn(value: unknown): HealRecord {
  const message = object(value);
  const { handle, disk } = message;
  return {
    path: pathIn(message),
    ...identityIn(message),
    ...(handle === undefined ? {} : { handle: handleIn(handle) }),
    ...(disk === undefined ? {} : { disk: text(disk, 'disk') }),
  };
}

export function identityIn(value: unknown): FileIdentity {
  const message = object(value);
  return {
    size: natural(message['size'], 'size'),
    dev: natural(message['dev'], 'dev'),
    ino: large(message['ino'], 'ino'),
    mtimeNs: large(message['mtime_ns'], 'mtime_ns'),
    ctimeNs: message['ctime_ns'] === null ? undefined : large(message['ctime_ns'], 'ctime_ns'),
  };
}

function wasIn(value: unknown): Was {
  const message = object(value);
  return {
    path: pathIn(message),
    size: natural(message['size'], 'size'),
    mtimeNs: large(message['mtime_ns'], 'mtime_ns'),
    ctimeNs: message['ctime_ns'] === null ? undefined : large(message['ctime_ns'], 'ctime_ns'),
  };
}

function pathIn(message: Readonly<Record<string, unknown>>): Buffer {
  const bytes = message['path_bytes'];
  const path =
    bytes === undefined
      ? Buffer.from(text(message['path'], 'path', LONGEST_PATH))
      : Buffer.from(text(bytes, 'path_bytes', LONGEST_PATH * 2), 'base64');
  if (!isNormalPath(path)) throw refused('path');
  return path;
}

function handleIn(value: unknown): FileHandle {
  const message = object(value);
  const type = message['type'];
  if (typeof type !== 'number' || !Number.isSafeInteger(type)) throw refused('handle');
  const { folder } = message;
  return {
    type,
    bytes: Buffer.from(text(message['bytes'], 'handle', LONGEST_HANDLE * 2), 'base64'),
    ...(folder === undefined ? {} : { folder: handleIn(folder) }),
  };
}

function rangeIn(value: unknown): MappedRange {
  const [offset, length, source, sourceOffset, ...more] = list(value, 'ranges');
  if (more.length > 0) throw refused('ranges');
  return {
    offset: natural(offset, 'ranges'),
    length: natural(length, 'ranges'),
    source: natural(source, 'ranges'),
    sourceOffset: natural(sourceOffset, 'ranges'),
  };
}

function object(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw refused('message');
  return value as Record<string, unknown>;
}

function list(value: unknown, name: string): readonly unknown[] {
  if (!Array.isArray(value) || value.length > MOST_OF_LIST) throw refused(name);
  return value;
}

function natural(value: unknown, name: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw refused(name);
  return value;
}

function large(value: unknown, name: string): bigint {
  if (typeof value !== 'string' || !/^-?[0-9]{1,20}$/.test(value)) throw refused(name);
  return BigInt.asIntN(64, BigInt(value)) === BigInt(value) ? BigInt(value) : BigInt.asUintN(64, BigInt(value));
}

function text(value: unknown, name: string, longest = LONGEST_TEXT): string {
  if (typeof value !== 'string' || value.length > longest) throw refused(name);
  return value;
}

function refused(name: string): AutotorrentError {
  return new AutotorrentError('USAGE', `"${name}" is missing or not valid in a message about a source`);
}

export function mappingLine(part: MappingPart): MappingLine {
  if ('since' in part) return { ...part, places: part.places.map((place) => place.toString('base64')) };
  if ('source' in part) return { source: knownSourceMessage(part.source) };
  const { index, version, extents, overlay } = part.file;
  return {
    file: {
      index,
      version,
      extents: extents.map(({ offset, length, source, sourceOffset }) => [offset, length, source, sourceOffset]),
      ...(overlay === undefined ? {} : { overlay }),
    },
  };
}

export function mappingOf(line: MappingLine): MappingPart {
  if ('since' in line) return { ...line, places: line.places.map((place) => Buffer.from(place, 'base64')) };
  if ('source' in line) return { source: knownSourceIn(line.source) };
  const { index, version, extents, overlay } = line.file;
  return {
    file: {
      index,
      version,
      extents: extents.map(([offset, length, source, sourceOffset]) => ({ offset, length, source, sourceOffset })),
      overlay,
    },
  };
}
