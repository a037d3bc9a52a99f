/**
 * `autotorrent mount`: the process that owns one store and serves it.
 *
 * States: opening the store (its lock is the server's lock) → mounted → control socket listening → serving → (asked to
 * end) → still serving, while clients' torrents are stopped → unmounted → socket closed → store closed. A mount that was
 * removed from outside goes straight to unmounted. Each step that fails undoes those before it; the mount point is never
 * left with a mount that nobody serves.
 */
import { readSmallFile } from '../bytes/read-file.ts';
import type { Config } from '../config/config.ts';
import { disksNow } from '../config/disks-now.ts';
import type { MountOwner } from '../config/mount-owner.ts';
import { sourceRules } from '../config/source-rules.ts';
import { poolPath, statePaths } from '../config/state-paths.ts';
import { startControlServer } from '../control/server.ts';
import { AutotorrentError, messageOf } from '../errors.ts';
import { chooseDriver } from '../fuse/choose-driver.ts';
import type { Mount } from '../fuse/driver.ts';
import { realMountPoint } from '../fuse/mounting/mount-point.ts';
import { LeaseKeeper } from '../leases/lease-keeper.ts';
import { DatabaseLocked, openLevel } from '../leveldb/open.ts';
import type { Logger } from '../logger.ts';
import { loadAccessListCall } from '../native/access-list.ts';
import { openCLibrary } from '../native/c-library.ts';
import { DescriptorBudget } from '../native/descriptor-budget.ts';
import { loadDescriptorCalls } from '../native/descriptors.ts';
import { loadFileCalls } from '../native/files.ts';
import { isAtOrBelow } from '../native/mountinfo.ts';
import { loadProcessCalls } from '../native/process.ts';
import { loadStrictCalls } from '../native/strict-paths.ts';
import { Unmounts } from '../native/unmounts.ts';
import { stateIdIn } from '../rescue/state-id.ts';
import { holdOf } from '../source/held-sources.ts';
import { ReadersLook } from '../source/look-at-readers.ts';
import { SourceAccess } from '../source/source-access.ts';
import { sourceLooks } from '../source/source-looks.ts';
import { keepPoolPrivate, keepStatePrivate } from '../state/state-folder.ts';
import { Ballast } from '../store/ballast.ts';
import { Store } from '../store/store.ts';
import { CountedOperations } from '../vfs/counting.ts';
import { FileSystem } from '../vfs/file-system.ts';
import { DiskUse } from '../watch/disk-use.ts';
import { EntryHealths } from './health/entry-health.ts';
import { livingStatus } from './living-status.ts';
import { watchLosses } from './loss-store.ts';
import { lookWith } from './news/look.ts';
import { WatchingSources } from './news/watching.ts';
import { Owner } from './owner.ts';
import { AbsenceProcesses } from './processes/absence.ts';
import { DownloadWatch } from './processes/download-watch.ts';
import { Healers } from './processes/healers.ts';
import { Repairs } from './processes/repair.ts';
import { ScrubProcess, scrubTimes } from './processes/scrub.ts';
import { PinAges } from './protect/pin-ages.ts';
import { PinSource } from './protect/pin-source.ts';
import { PinTable } from './protect/pin-table.ts';
import { Protection } from './protect/protection.ts';
import { ProvenSources } from './proven-sources.ts';
import { RecordCompletion } from './record-completion.ts';
import { Releases } from './releases.ts';
import { findKeptRecords } from './rescue/kept-records.ts';
import type { Rescue } from './rescue/rescue.ts';
import { Rescuing } from './rescue/rescuing.ts';
import { Returns } from './returns.ts';
import { ServedStore } from './served-store.ts';
import { IndexRenewal } from './settling/index-renewal.ts';
import { CaseQueue } from './settling/queue.ts';
import { SourceConditions } from './source-conditions.ts';

export interface MountRequest {
  readonly version: string;
  /** Node's arguments of the verifier, without the flags and info hashes. */
  readonly verifyCommand: readonly string[];
  /** Node's arguments of the scrub in the background. */
  readonly scrubCommand: readonly string[];
  /** Node's arguments of the healer. */
  readonly healCommand: readonly string[];
  readonly driver: 'auto' | 'kernel' | 'fuse-native';
  /** Undefined: let others in if that is possible. */
  readonly allowOther: boolean | undefined;
  readonly readOnly: boolean;
  readonly logger: Logger;
  /**
   * Node's arguments of the absence child, without `look`, `stop` or `resume`, for all clients of the configuration.
   */
  readonly absenceCommand: readonly string[];
  /** Node's arguments of the child that repairs what is lost, without the flags and info hashes. */
  readonly repairCommand: readonly string[];
  /** When aborted: have the clients' torrents stopped, unmount, and end. */
  readonly signal: AbortSignal;
  /** When aborted: do not wait for clients. */
  readonly hurry: AbortSignal;
  /** Finds whose the files in the mount are to be: asked at the start, and when more is known of clients. */
  readonly findOwner: () => Promise<MountOwner>;
  readonly onServing: (facts: {
    readonly mountPoint: string;
    readonly driver: string;
    /** Why it is this driver. */
    readonly driverReason: string;
    /** The drivers that cannot run here, which `auto` would have taken, and why. */
    readonly passedOver: readonly string[];
    /** `Mount.describe`. */
    readonly driverDetail: string | undefined;
    readonly visibleTo: 'everyone' | 'owner';
    readonly owner: MountOwner;
  }) => void;
}

/** A server that has just been stopped needs a moment to release its store. */
const LOCK_WAIT_MS = 2000;
const LARGEST_FUSE_CONF = 1024 * 1024;

/**
 * Serves until it is asked to end; the mount is gone when it resolves.
 * @throws AutotorrentError('STORE') if another server serves this store; ('MOUNT') if the mount cannot be made, or was
 *   removed from outside
 */
export async function runMount(config: Config, request: MountRequest): Promise<void> {
  const { logger, signal } = request;
  if (config.fastResume === 'trust') {
    logger.warn('fast_resume = trust: clients are told that all mapped data is right, whether it was hashed or not');
  }
  const paths = statePaths(config.statePath);
  // Before anything is opened, written or mounted.
  keepStatePrivate(config.statePath, logger);
  keepPoolPrivate(poolPath(config.db), logger);
  // The folders above the mount point are for other users, too: they are made with the caller's umask. All else that this
  // process makes is its own, and LevelDB takes the modes of its files from here.
  await realMountPoint(config.storePath);
  const umask = process.umask(0o077);
  const undo: (() => Promise<void>)[] = [];
  try {
    const ballast = new Ballast(config.statePath, logger);
    // LevelDB writes when it opens.
    ballast.makeRoom();
    const db = await openStore(config, paths.store, logger);
    undo.push(async () => db.close());
    const descriptors = DescriptorBudget.ofProcess();
    const library = openCLibrary(logger);
    const { keepDescriptors } = loadDescriptorCalls(library);
    const calls = loadStrictCalls(library);
    const access = new SourceAccess(sourceRules(config), {
      calls,
      logger,
      disksNow: disksNow(config.file, config.disks, process.env, logger),
    });
    const rescuing = new Rescuing({
      config,
      pool: poolPath(config.db),
      stateId: stateIdIn(paths.store),
      access,
      logger,
    });
    undo.push(async () => await rescuing.close());
    const isKept = (path: Buffer): boolean => rescuing.own.isOwn(path);
    const store = await Store.open(db, {
      logger,
      statePath: config.statePath,
      poolPath: poolPath(config.db),
      kept: rescuing.own,
      descriptors,
      ballast,
    });
    undo.push(async () => store.close());
    const readersLook = new ReadersLook({
      ownMounts: access.ownMounts,
      ownFolders: [config.statePath, poolPath(config.db)],
      accessList: loadAccessListCall(library),
      released: access.released,
      turns: access.turns,
    });
    const downloads = new DownloadWatch({
      command: request.verifyCommand,
      infoHashOf: async (entry) => (await store.entryById(entry))?.infoHash,
      keepDescriptors: () => keepDescriptors?.(),
      logger,
    });
    const ownFolders = [config.statePath, poolPath(config.db)].map((folder) => Buffer.from(folder));
    const completion = new RecordCompletion({
      store,
      placing: access.placing,
      isOwn: (path) => isKept(path) || ownFolders.some((folder) => isAtOrBelow(path, folder)),
      logger,
    });
    undo.push(async () => completion.close());
    const disks = new DiskUse({ disks: async () => await access.fileSystems.disksMounted() });
    undo.push(async () => disks.close());
    const owner = new Owner(await request.findOwner(), {
      find: request.findOwner,
      set: (now) => fileSystem.setOwner(now),
      logger,
    });
    let healers: Healers | undefined;
    const renewal = new IndexRenewal({ use: disks });
    const queue = new CaseQueue({
      sources: store.living,
      diskOf: (id) => store.source(id)?.disk,
      usedLately: (disk) => disks.usedLately(disk),
      isIndexReady: (id) => renewal.isReady(id),
      onNoted: (id) => void rescue.noted(id),
      onDue: () => healers?.wake(),
    });
    undo.push(async () => queue.close());
    const proven = new ProvenSources({ store, logger, note: (id) => queue.note(id) });
    undo.push(async () => proven.close());
    const returns = new Returns({ store, note: (infoHash) => repairs.noteReturned(infoHash) });
    const watching = new WatchingSources({
      store,
      access,
      library,
      descriptors,
      logger,
      use: disks,
      cases: queue,
      onFiles(paths, look) {
        returns.came(paths, look).catch((error: unknown) => {
          logger.error(`what came back cannot be looked for: ${messageOf(error)}`);
        });
      },
      onMounts: async () => await fileSystem.mountsChanged(),
    });
    undo.push(async () => watching.close());
    const conditions = new SourceConditions({
      store,
      verifyReads: config.verifyReads,
      queue,
      logger,
      onAsRecorded: (id, record, { identity }) => {
        completion.asRecorded(id, record, identity);
        watching.asRecorded(id);
      },
    });
    // Without hashing, a doubt would only keep readers from what they may read.
    const leases = config.verifyReads === 'off' ? undefined : LeaseKeeper.start(library, logger);
    undo.push(async () => leases?.close());
    const fileSystem: FileSystem = new FileSystem({
      store,
      libc: loadFileCalls(library),
      access,
      readersLook,
      looks: sourceLooks(library, access.fileSystems),
      doubts: conditions,
      leases: leases && {
        leases,
        doubts: conditions,
        beforeWrite: async (id, file) => await rescue.beforeWrite(id, file),
        unchanged: (id) => void rescue.unchanged(id),
      },
      descriptors,
      hold: holdOf(config.holdSources, process.env),
      lastChance: async (file) => await rescue.lastChance(file),
      onPinFailed: (id) => protection.noteFailed(id),
      passthrough: config.passthrough,
      statePath: config.statePath,
      owner: owner.now,
      umask: config.umask,
      showLinks: config.showLinks,
      logger,
    });
    undo.push(async () => fileSystem.close());
    const rescue: Rescue = rescuing.rescue({
      store,
      look: lookWith({ access, descriptors, writers: undefined }),
      openFile: (id) => fileSystem.openSource(id),
      note: (id) => queue.note(id),
      isOpenCase: (id) => queue.open([id], Number.POSITIVE_INFINITY).length > 0,
    });
    undo.push(async () => await rescue.close());
    const isOurs = (path: Buffer): boolean => ownFolders.some((folder) => isAtOrBelow(path, folder));
    const { pins } = rescuing;
    const pinTable = new PinTable(store);
    const protection: Protection = new Protection({
      store,
      config,
      pins,
      pinSource: new PinSource({ store, access, readersLook, descriptors, pins, table: pinTable, doubts: conditions }),
      isOwn: (path) => isKept(path) || isOurs(path),
      logger,
    });
    undo.push(async () => await protection.close());
    const pinAges = new PinAges({
      store,
      config,
      pins,
      table: pinTable,
      released: access.released,
      close: (id) => fileSystem.closeSource(id),
      noteDeleted: (id) => queue.note(id, { seenDeleted: true }),
      logger,
    });
    undo.push(async () => await pinAges.close());
    const ending = new AbortController();
    undo.push(async () => ending.abort());
    store.watch({ bytesChanged: (entry) => downloads.note(entry) });
    const operations = new CountedOperations(fileSystem);
    const absence = new AbsenceProcesses({
      command: config.clientSections.length === 0 ? undefined : request.absenceCommand,
      record: paths.absence,
      keepDescriptors: () => keepDescriptors?.(),
      logger,
    });
    const repairs: Repairs = new Repairs({
      command: request.repairCommand,
      record: paths.repair,
      keepDescriptors: () => keepDescriptors?.(),
      logger,
    });
    const releases: Releases = new Releases({
      store,
      released: access.released,
      letGo: () => fileSystem.letGo(),
      leave: async (mountPoints) => await watching.leave(mountPoints),
      unmounts: () => Unmounts.open(library),
      onBack(ids) {
        watching.back(ids);
        // What others have lost may lie there.
        queue.lookAgain();
      },
      logger,
    });
    undo.push(async () => releases.close());
    await absence.look();
    const allowOther = request.allowOther ?? othersAllowed();
    const { driver, reason, passedOver } = chooseDriver(request.driver, { library, logger });
    const mount = await driver.mount(operations, {
      mountPoint: config.storePath,
      allowOther,
      readOnly: request.readOnly,
    });
    undo.push(async () => mount.unmount());
    undo.push(async () => downloads.close());
    // If other programs still have files open, the driver's threads outlive the mount, and an ordinary end of the
    // process would free what they use.
    const { exitNow } = loadProcessCalls(library);
    process.once('exit', (code) => exitNow?.(code));

    const asked = new AbortController();
    const listeners: ((message: string) => void)[] = [];
    const facts = {
      mountPoint: config.storePath,
      driver: driver.name,
      driverReason: reason,
      visibleTo: visibility(allowOther),
    };
    const healths = new EntryHealths({
      store,
      disks: config.disks,
      hasClient: config.clientSections.length > 0,
      logger,
    });
    undo.push(async () => healths.close());
    const scrub = new ScrubProcess({
      command: request.scrubCommand,
      when: config.scrub,
      due: () => served.dueEntries({ days: config.scrubDays, all: false, again: false }),
      bytesRead: () => operations.counts.bytesRead,
      disks,
      keepDescriptors: () => keepDescriptors?.(),
      logger,
      times: scrubTimes(process.env),
    });
    undo.push(async () => scrub.close());
    const served: ServedStore = new ServedStore({
      store,
      fileSystem,
      counts: () => operations.counts,
      access,
      readersLook,
      healths,
      scrubStatus: () => scrub.status,
      livingStatus: async () =>
        await livingStatus({ watching, queue, repairs, fileSystem, kept: rescuing.files, pins: rescuing.pins, config }),
      logger,
      owner,
      repairs,
      releases,
      queue,
      returns,
      renewal,
      rescue,
      protection,
      driverDetail: () => mount.describe(),
      facts: { ...facts, readOnly: request.readOnly, version: request.version, startedMs: Date.now() },
      shutdown(say) {
        listeners.push(say);
        asked.abort();
      },
    });
    const control = await startControlServer(served, paths.socket, logger);
    // Not part of `undo`: the command that asked for the shutdown waits on its connection until everything else has
    // ended.
    try {
      request.onServing({ ...facts, passedOver, driverDetail: mount.describe(), owner: owner.now });
      disks.start();
      watching.start();
      watchLosses(store, repairs, (error) => logger.error(`what is lost cannot be looked for: ${messageOf(error)}`));
      // A repair and `absence resume` would stop and start the same torrents.
      void absence.resume().then(() => repairs.start());
      scrub.start();
      healers = new Healers({
        command: request.healCommand,
        keepDescriptors: () => keepDescriptors?.(),
        queue,
        onNoneRuns: () => renewal.failed('the healer was ended'),
        logger,
      });
      const keptRecords = findKeptRecords(store, ending.signal);
      rescue.start(keptRecords);
      protection.start(keptRecords);
      void pinAges.start(keptRecords.then((records) => records && pinTable.load(records)));
      queue.load();
      void proven.start();
      void fileSystem.lookAtReaders();
      if (leases === undefined) conditions.noLeases();
      else fileSystem.takeUpOpened();
      await untilEnd(mount, config.storePath, AbortSignal.any([signal, asked.signal]));
      await repairs.close();
      await absence.stop(request.hurry, (message) => {
        for (const say of listeners) say(message);
      });
    } finally {
      await repairs.close();
      await healers?.close();
      await absence.close();
      await unwind(undo, logger);
      await control.close();
    }
  } finally {
    await unwind(undo, logger);
    process.umask(umask);
  }
}

const visibility = (allowOther: boolean): 'everyone' | 'owner' => (allowOther ? 'everyone' : 'owner');

async function openStore(config: Config, location: string, logger: Logger): ReturnType<typeof openLevel> {
  try {
    return await openLevel(location, { code: 'STORE', what: 'the store', create: true, waitMs: LOCK_WAIT_MS, logger });
  } catch (error) {
    if (!(error instanceof DatabaseLocked)) throw error;
    throw new AutotorrentError('STORE', `${config.storePath} is served already: ${error.message}`, {
      cause: error,
      hint: 'autotorrent status asks that server; autotorrent unmount stops it',
    });
  }
}

async function untilEnd(mount: Mount, mountPoint: string, asked: AbortSignal): Promise<void> {
  if (asked.aborted) return;
  const stopped = new Promise<'asked'>((resolve) => {
    asked.addEventListener('abort', () => resolve('asked'), { once: true });
  });
  const outcome = await Promise.race([stopped, mount.ended.then(() => 'gone' as const)]);
  if (outcome === 'asked') return;
  throw new AutotorrentError('MOUNT', `the mount at ${mountPoint} was removed from outside`, {
    hint: 'clients see an empty folder now: start it again with autotorrent mount',
  });
}

/** Runs the remaining undo steps, last first; a step that fails is logged and does not keep the others from running. */
async function unwind(undo: (() => Promise<void>)[], logger: Logger): Promise<void> {
  for (let step = undo.pop(); step !== undefined; step = undo.pop()) {
    try {
      await step();
    } catch (error) {
      logger.error(`while the server was ending: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

/** True if others may be let in. fuse.conf(5): only root may, unless the file has `user_allow_other`. */
function othersAllowed(): boolean {
  if (process.getuid?.() === 0) return true;
  try {
    return /^\s*user_allow_other\s*$/m.test(readSmallFile('/etc/fuse.conf', LARGEST_FUSE_CONF).toString());
  } catch {
    return false; // there is none, or it cannot be read
  }
}
