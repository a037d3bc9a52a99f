/**
 * The functions for the routes of the control socket.
 *
 * Invariant 5 holds here: nothing scans, hashes or talks to a client, and data as large as a torrent (a plan, an
 * entry's list of files) is processed in slices; the mount is served between them.
 */
import { join } from 'node:path';
import type { MountOwner } from '../config/mount-owner.ts';
import type {
  DamagedSource,
  DifferencePart,
  Discarded,
  DueEntry,
  DueQuestion,
  EntryPinned,
  Losses,
  Pooled,
  Released,
  RepairNews,
  ScrubStatus,
  ServedEntry,
  ServedExtent,
  ServedFile,
  ServedSource,
  ServerStatus,
  Verified,
} from '../control/served.ts';
import { AutotorrentError } from '../errors.ts';
import { type Extent, GAP, OVERLAY, ZEROS } from '../extent/extent.ts';
import type { Logger } from '../logger.ts';
import { PlanStream } from '../plan/stream.ts';
import type { ReadersLook } from '../source/look-at-readers.ts';
import { lookedAt } from '../source/looked-at.ts';
import { ReadersThread } from '../source/readers-thread.ts';
import type { SourceAccess } from '../source/source-access.ts';
import type { Entry } from '../store/entries/entry.ts';
import type { StoredFile } from '../store/entries/entry-files.ts';
import type { Store } from '../store/store.ts';
import type { Counts } from '../vfs/counting.ts';
import type { FileSystem, FileSystemStatus } from '../vfs/file-system.ts';
import { Deletions } from './deletions.ts';
import { differencesOf } from './differences.ts';
import { Downloads } from './downloads.ts';
import { changedSources } from './health/changed-sources.ts';
import type { EntryHealths } from './health/entry-health.ts';
import { lossStoreOf } from './loss-store.ts';
import { type LossStore, lossesOf, makeGaps } from './losses.ts';
import { OverlayUsage } from './overlay-usage.ts';
import { Overwritten } from './overwritten.ts';
import type { Owner } from './owner.ts';
import type { Repairs } from './processes/repair.ts';
import type { Protection } from './protect/protection.ts';
import type { Releases } from './releases.ts';
import type { Rescue } from './rescue/rescue.ts';
import type { Returns } from './returns.ts';
import { ScrubWork } from './scrub-work.ts';
import type { IndexRenewal } from './settling/index-renewal.ts';
import type { CaseQueue } from './settling/queue.ts';
import { Settling } from './settling/settling.ts';

export interface ServerFacts {
  readonly version: string;
  readonly driver: string;
  readonly driverReason: string;
  readonly mountPoint: string;
  readonly visibleTo: 'everyone' | 'owner';
  readonly readOnly: boolean;
  readonly startedMs: number;
}

type LivingStatus = Pick<ServerStatus, 'kept' | 'pins' | 'watch' | 'healer' | 'repair' | 'leases' | 'passthrough'>;

const DOWNLOADED = 'clients downloaded a part of it, which is verified (autotorrent overlay discard drops that, too)';

/** The shortest prefix of an info hash that names an entry. */
const SHORTEST_PREFIX = 8;

export interface ServedStoreParts {
  readonly store: Store;
  readonly fileSystem: FileSystem;
  /** `Mount.describe`. */
  readonly driverDetail?: () => string | undefined;
  /** The counts of the mount's operations. */
  readonly counts: () => Counts;
  readonly access: SourceAccess;
  readonly readersLook: ReadersLook;
  readonly facts: ServerFacts;
  readonly healths: EntryHealths;
  readonly scrubStatus: () => ScrubStatus;
  /** Of the watch of sources, the healer and repairs. */
  readonly livingStatus: () => Promise<LivingStatus>;
  /** The cases of sources that are not as recorded. */
  readonly queue: CaseQueue;
  /** Bytes of gaps that may be there again. */
  readonly returns: Returns;
  /** When the index is renewed for their sake. */
  readonly renewal: IndexRenewal;
  /** Keeps what would be lost. Absent: nothing is kept. */
  readonly rescue?: Rescue;
  /** Pins sources. Absent: none is pinned. */
  readonly protection?: Protection;
  readonly logger: Logger;
  /** Whose the files in the mount are. */
  readonly owner: Pick<Owner, 'now' | 'look'>;
  readonly repairs: Pick<Repairs, 'ask' | 'noteReturned'>;
  readonly releases: Pick<Releases, 'release'>;
  /** Begins the server's end; `say` reports warnings to the command that asked for it. */
  readonly shutdown: (say: (message: string) => void) => void;
}

export class ServedStore {
  readonly #store: Store;
  readonly #fileSystem: FileSystem;
  readonly #driverDetail: (() => string | undefined) | undefined;
  readonly #counts: () => Counts;
  readonly #access: SourceAccess;
  readonly #looks: ReadersThread;
  readonly #facts: ServerFacts;
  readonly #downloads: Downloads;
  readonly #deletions: Deletions;
  readonly #overwritten: Overwritten;
  readonly #overlayUsage: OverlayUsage;
  readonly #scrub: ScrubWork;
  readonly #scrubStatus: () => ScrubStatus;
  readonly #livingStatus: () => Promise<LivingStatus>;
  readonly #healths: EntryHealths;
  readonly #protection: Protection | undefined;
  readonly #owner: ServedStoreParts['owner'];
  readonly #lossStore: LossStore;
  readonly #repairs: Pick<Repairs, 'ask' | 'noteReturned'>;
  readonly #releases: Pick<Releases, 'release'>;
  /** Sources and their cases. */
  readonly settling: Settling;
  readonly shutdown: ServedStoreParts['shutdown'];

  constructor(parts: ServedStoreParts) {
    this.#store = parts.store;
    this.#downloads = new Downloads(parts.store);
    this.#deletions = new Deletions(parts.store);
    this.#overwritten = new Overwritten(parts.store);
    this.#overlayUsage = new OverlayUsage(parts.store.bytes.folder);
    this.#scrub = new ScrubWork(parts.store, parts.healths, parts.logger, (id) => parts.queue.note(id));
    this.#healths = parts.healths;
    this.#protection = parts.protection;
    this.#owner = parts.owner;
    this.#scrubStatus = parts.scrubStatus;
    this.#livingStatus = parts.livingStatus;
    this.#fileSystem = parts.fileSystem;
    this.#driverDetail = parts.driverDetail;
    this.#counts = parts.counts;
    this.#access = parts.access;
    this.#looks = new ReadersThread(parts.readersLook);
    this.#facts = parts.facts;
    this.#lossStore = lossStoreOf(parts.store);
    this.#repairs = parts.repairs;
    this.#releases = parts.releases;
    this.settling = new Settling({
      ...parts,
      looks: this.#looks,
      lookAtReaders: () => void parts.fileSystem.lookAtReaders(),
    });
    this.shutdown = parts.shutdown;
  }

  async status(): Promise<ServerStatus> {
    let entries = 0;
    let adding = 0;
    const deleted = { entries: 0, files: 0 };
    const overwritten = { entries: 0, files: 0 };
    for await (const entry of this.#store.entries()) {
      entries++;
      const { files } = await this.#deletions.of(entry);
      deleted.files += files;
      if (files > 0) deleted.entries++;
      const over = await this.#overwritten.of(entry);
      overwritten.files += over.files;
      if (over.files > 0) overwritten.entries++;
      if (entry.state === 'adding') adding++;
    }
    const { version, driver, driverReason, mountPoint, visibleTo, readOnly, startedMs } = this.#facts;
    const { broken, openFiles, openSources, heldSources, hangingBytes } = await this.#fileSystem.status();
    await this.#healths.settled();
    const counts = this.#counts();
    return {
      version,
      pid: process.pid,
      driver,
      driverDetail: this.#driverDetail?.(),
      driverReason,
      mountPoint,
      visibleTo,
      owner: this.#owner.now,
      readOnly,
      uptimeSeconds: Math.round((Date.now() - startedMs) / 1000),
      entries,
      adding,
      deleted,
      overwritten,
      opens: counts.opens,
      openHandles: openFiles,
      reads: counts.reads,
      bytesRead: counts.bytesRead,
      readErrors: counts.errors,
      brokenSources: broken.map(({ path, reason, spare }) => ({
        path: path.toString('utf8'),
        reason,
        ...(spare === undefined ? {} : { servedFrom: spare.toString('utf8') }),
      })),
      brokenEntries: [...unserved(broken).keys()].toSorted(),
      sources: this.#healths.totals(),
      scrub: this.#scrubStatus(),
      ...(await this.#livingStatus()),
      descriptors: { sources: openSources, held: heldSources, hangingBytes },
      writes: counts.writes,
      bytesWritten: counts.bytesWritten,
      overlayBytes: await this.#overlayUsage.bytes(),
      overlayProblems: this.#store.overlayProblems.map(({ path, what }) => ({ path, problem: what })),
    };
  }

  /** Looks again whose the files in the mount are to be; resolves once the kernel shows them so. */
  async lookAtOwner(): Promise<MountOwner> {
    return await this.#owner.look();
  }

  async entries(): Promise<AsyncIterable<ServedEntry>> {
    return this.#servedEntries(await this.#brokenEntries());
  }

  /** @throws AutotorrentError('NOT_FOUND'), or ('CONFLICT') if the prefix fits several info hashes */
  async entry(id: string): Promise<ServedEntry> {
    return await this.#served(await this.#find(id), await this.#brokenEntries());
  }

  /** @throws AutotorrentError('NOT_FOUND'), or ('CONFLICT') if the prefix fits several info hashes */
  async infoHashOf(id: string): Promise<string> {
    return (await this.#find(id)).infoHash;
  }

  async files(id: string): Promise<AsyncIterable<ServedFile>> {
    const { infoHash } = await this.#find(id);
    return this.#servedFiles(infoHash);
  }

  /** Lists the sources of an entry that are not trusted, or that have a story. */
  async sources(id: string): Promise<AsyncIterable<ServedSource>> {
    return changedSources(this.#store, await this.#find(id), (source) => this.settling.awaits(source));
  }

  async metainfo(id: string): Promise<Buffer> {
    const { infoHash, name } = await this.#find(id);
    const metainfo = this.#store.metainfo(infoHash);
    if (metainfo === undefined) throw new AutotorrentError('STORE', `the metainfo of ${name} is lost`);
    return metainfo;
  }

  async pieces(id: string): Promise<Buffer> {
    const { infoHash, name } = await this.#find(id);
    const map = this.#store.pieceMap(infoHash);
    if (map === undefined) throw new AutotorrentError('STORE', `the piece map of ${name} is lost`);
    return map;
  }

  /**
   * Creates an entry from an encoded plan while it arrives, an external one if `directory` is given. Nothing is left of an entry
   * whose plan is not sound, or does not arrive. @throws AutotorrentError('CONFLICT') if it exists already; see `PlanStream`
   */
  async create(encodedPlan: AsyncIterable<Buffer>, directory?: string): Promise<ServedEntry> {
    const plan = await PlanStream.open(encodedPlan);
    const { header } = plan;
    let missed = false;
    const entry =
      directory === undefined
        ? await this.#store.createEntry({
            ...header,
            sources: lookedAt(this.#access.refuse(plan.sources()), {
              look: this.#looks,
              onMissed: () => {
                missed = true;
              },
            }),
            files: plan.files(),
          })
        : await this.#store.createExternal({ ...header, directory, torrentName: await torrentNameOf(plan) });
    if (missed) void this.#fileSystem.lookAtReaders();
    await this.#healths.entryMade(entry);
    this.#protection?.note(entry.infoHash);
    return await this.#served(entry, new Map());
  }

  async addNames(id: string, names: readonly (readonly string[] | undefined)[]): Promise<void> {
    await this.#store.addNames((await this.#find(id)).infoHash, names);
  }

  async markAdded(infoHashes: readonly string[]): Promise<readonly string[]> {
    return await this.#store.markAdded(infoHashes);
  }

  async remove(id: string): Promise<void> {
    await this.#store.removeEntry((await this.#find(id)).infoHash);
  }

  async beginVerification(id: string): Promise<{ readonly since: number; readonly epoch: number }> {
    // Before the files are looked at: a change that comes meanwhile has a later epoch.
    const { epoch } = this.#store.living;
    return { since: await this.#store.verificationBegun((await this.#find(id)).infoHash), epoch };
  }

  async endVerification(id: string, found: Verified): Promise<ServedEntry> {
    const { infoHash } = await this.#find(id);
    const entry = await this.#store.verificationEnded(infoHash, found);
    this.#scrub.proven(entry, found);
    return await this.#served(entry, await this.#brokenEntries());
  }

  /** @throws AutotorrentError('NOT_FOUND') for an index without a file */
  async pool(id: string, index: number): Promise<Pooled> {
    const { infoHash } = await this.#find(id);
    const file = await this.#store.file(infoHash, index);
    if (file === undefined) throw new AutotorrentError('NOT_FOUND', `the entry has no file ${index}`);
    return (await this.#fileSystem.pool(infoHash, file, [infoHash, ...file.path])) ?? {};
  }

  /** Pins the sources of an entry. @throws AutotorrentError('NOT_FOUND') */
  async protect(id: string): Promise<EntryPinned> {
    const { infoHash } = await this.#find(id);
    const pins = (await this.#protection?.protect(infoHash)) ?? { sources: 0, bytes: 0, made: 0, off: 0, unpinned: [] };
    return { ...pins, unpinned: pins.unpinned.map(({ path, says }) => ({ path: path.toString(), reason: says })) };
  }

  /** Lists the entries with pieces that `scrub` must hash. */
  dueEntries(question: DueQuestion): AsyncIterable<DueEntry> {
    return this.#scrub.due(question);
  }

  async duePieces(id: string, question: DueQuestion): Promise<Buffer> {
    return await this.#scrub.pieces(await this.#find(id), question);
  }

  /** Takes the report of sources whose bytes do not agree, or cannot be read. */
  async damaged(id: string, sources: readonly DamagedSource[]): Promise<void> {
    await this.#scrub.damaged(await this.#find(id), sources);
  }

  async differences(id: string): Promise<AsyncIterable<DifferencePart>> {
    return differencesOf(this.#store, (await this.#find(id)).infoHash);
  }

  /** `deleted`: see `#bringBack`. @throws AutotorrentError('CONFLICT') if a file of the entry is open, ('NOT_FOUND') */
  async discard(id: string, what: readonly string[] | 'deleted' | undefined): Promise<Discarded> {
    return what === 'deleted' ? await this.#bringBack(id) : await this.#discard(id, what);
  }

  async #discard(id: string, what: readonly string[] | 'deleted' | undefined): Promise<Discarded> {
    const { infoHash } = await this.#find(id);
    const { files: discarded, bytes, kept } = await this.#store.discard(infoHash, what, this.#fileSystem.quiet);
    return { discarded, bytes, kept };
  }

  /**
   * Gives files that clients cut off or wrote over their bytes again, and files that were deleted their names. A file with bytes that
   * a client wrote and that are verified is kept as it is. @throws AutotorrentError('CONFLICT') if one is open, ('NOT_FOUND')
   */
  async #bringBack(id: string): Promise<Discarded> {
    const entry = await this.#find(id);
    const deleted = await this.#discard(entry.infoHash, 'deleted');
    const { files, kept } = await this.#overwritten.restorable(entry);
    const restored = files.length === 0 ? undefined : await this.#discard(entry.infoHash, files);
    return {
      discarded: deleted.discarded + (restored?.discarded ?? 0),
      bytes: deleted.bytes + (restored?.bytes ?? 0),
      kept: [...deleted.kept, ...(restored?.kept ?? []), ...kept.map((path) => ({ path, reason: DOWNLOADED }))],
    };
  }

  /** @throws AutotorrentError('NOT_FOUND') */
  async losses(id: string): Promise<Losses> {
    return await lossesOf(this.#lossStore, await this.#find(id));
  }

  /** Returns the bytes that have become gaps. @throws AutotorrentError('NOT_FOUND'), ('CONFLICT') */
  async makeGaps(id: string): Promise<number> {
    return await makeGaps(this.#lossStore, await this.#find(id));
  }

  /** @throws AutotorrentError('NOT_FOUND') */
  async repair(id: string, signal: AbortSignal): Promise<AsyncIterable<RepairNews>> {
    return this.#repairs.ask((await this.#find(id)).infoHash, signal);
  }

  /** Bytes that were missing are mapped now: the clients are told. @throws AutotorrentError('NOT_FOUND') */
  async returned(id: string): Promise<void> {
    this.#repairs.noteReturned((await this.#find(id)).infoHash, true);
  }

  async release(mountPoints: readonly Buffer[], links: readonly Buffer[]): Promise<Released> {
    return await this.#releases.release(mountPoints, links);
  }

  async #find(id: string): Promise<Entry> {
    const entry = this.#store.entry(id) ?? (await this.#byPrefix(id));
    if (entry === undefined) throw new AutotorrentError('NOT_FOUND', `there is no entry ${id}`);
    return entry;
  }

  async #byPrefix(prefix: string): Promise<Entry | undefined> {
    if (prefix.length < SHORTEST_PREFIX || !/^[0-9a-f]+$/i.test(prefix)) return undefined;
    const found: Entry[] = [];
    for await (const entry of this.#store.entries()) {
      if (entry.infoHash.startsWith(prefix.toLowerCase())) found.push(entry);
    }
    if (found.length > 1) {
      throw new AutotorrentError('CONFLICT', `${prefix} is the beginning of ${found.length} info hashes`, {
        hint: 'give more digits',
      });
    }
    return found[0];
  }

  /** The names of entries with bytes that cannot be served, each with a reason. Bytes that a spare supplies are served. */
  async #brokenEntries(): Promise<ReadonlyMap<string, string>> {
    await this.#healths.settled();
    return unserved((await this.#fileSystem.status()).broken);
  }

  async #served(entry: Entry, broken: ReadonlyMap<string, string>): Promise<ServedEntry> {
    const downloaded = await this.#downloads.of(entry);
    const gaps = entry.missingBytes - downloaded;
    const [deleted, overwritten] = [await this.#deletions.of(entry), await this.#overwritten.of(entry)];
    const hiddenDownloads = Math.min(downloaded, deleted.downloadedBytes + overwritten.downloadedBytes);
    const hidden =
      deleted.mappedBytes + deleted.downloadedBytes + overwritten.mappedBytes + overwritten.downloadedBytes;
    const mappedBytes = entry.totalLength - entry.missingBytes - (hidden - hiddenDownloads);
    const downloadedBytes = downloaded - hiddenDownloads + deleted.againBytes + overwritten.againBytes;
    return {
      name: entry.name,
      infoHash: entry.infoHash,
      ...(entry.infoHashV2 === undefined ? {} : { infoHashV2: entry.infoHashV2 }),
      state: entry.state,
      kind: entry.kind,
      directory: entry.directory ?? join(this.#facts.mountPoint, entry.name),
      torrentName: entry.torrentName,
      created: new Date(entry.createdMs),
      size: entry.totalLength,
      mappedBytes,
      downloadedBytes,
      missingBytes: entry.totalLength - mappedBytes - downloadedBytes,
      files: entry.fileCount,
      deletedFiles: deleted.files,
      overwrittenFiles: overwritten.files,
      pieces: entry.pieceCount,
      verifiedPieces: entry.verifiedPieces,
      verify: entry.verify,
      ...(await this.#healths.of(entry, {
        missing: gaps,
        broken: broken.get(entry.name),
        deleted: deleted.files,
        overwritten: overwritten.files,
      })),
    };
  }

  async *#servedEntries(broken: ReadonlyMap<string, string>): AsyncGenerator<ServedEntry> {
    for await (const entry of this.#store.entries()) yield await this.#served(entry, broken);
  }

  async *#servedFiles(infoHash: string): AsyncGenerator<ServedFile> {
    for await (const file of this.#store.files(infoHash)) yield this.#servedFile(file);
  }

  #servedFile(file: StoredFile): ServedFile {
    return {
      path: file.path.join('/'),
      length: file.length,
      status: file.status,
      state: file.state,
      mode: file.mode,
      ...(file.code === undefined ? {} : { code: file.code }),
      extents: file.extents.map((extent) => this.#servedExtent(extent, file.overlayPath)),
      ...writtenOf(file.extents),
    };
  }

  #servedExtent({ offset, length, source, sourceOffset }: Extent, overlayPath = ''): ServedExtent {
    const range = { offset, length, sourceOffset };
    if (source === ZEROS) return { ...range, kind: 'zeros' };
    if (source === GAP) return { ...range, kind: 'gap' };
    if (source === OVERLAY) return { ...range, source: Buffer.from(overlayPath), kind: 'overlay' };
    const path = this.#store.source(source)?.path ?? Buffer.from('(lost)');
    const condition = this.#store.living.condition(source);
    const { living } = this.#store;
    const isPinned = living.isPin(path) || living.pinsOf(source).length > 0;
    const marks = isPinned ? ({ pinned: true } as const) : living.isKept(path) ? ({ kept: true } as const) : {};
    return { ...range, source: path, kind: 'source', ...marks, ...(condition && { sourceState: condition.state }) };
  }
}

function unserved(broken: FileSystemStatus['broken']): ReadonlyMap<string, string> {
  const reasons = new Map<string, string>();
  for (const { path, reason, spare, entries } of broken) {
    if (spare === undefined) for (const entry of entries) reasons.set(entry, `${path.toString()} ${reason}`);
  }
  return reasons;
}

function writtenOf(extents: readonly Extent[]): Pick<ServedFile, 'writtenBytes' | 'writtenRanges'> {
  const written = extents.filter(({ source }) => source === OVERLAY);
  return { writtenBytes: written.reduce((sum, { length }) => sum + length, 0), writtenRanges: written.length };
}

async function torrentNameOf(plan: PlanStream): Promise<string> {
  for await (const _ of plan.sources());
  let name: string | undefined;
  for await (const file of plan.files()) name ??= file.path[0];
  return name ?? '';
}
