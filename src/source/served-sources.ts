/**
 * Says which open file serves the bytes of a source: the source itself, or a spare where it cannot be read.
 *
 * Each source is opened once for all its readers, and looked at again at most once a second. One that differs from its
 * record, and is a readable file, is served as *doubted*: its readers prove what they read (`vfs/proving/`). It keeps its
 * descriptor: whatever has its path now, these bytes may be the right ones.
 *
 * A source that cannot be opened is opened again by its path, three times within 300 ms (a disk may be waking, or a file
 * being moved back); then its spares are tried; then its readers wait until its case is settled, `SETTLING_MS` at most; then
 * reads fail with EIO. A source that is known to be broken is tried once at each further open, without waiting, and at most
 * once a second while a file is open.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, PosixError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { type DescriptorBudget, isOutOfDescriptors } from '../native/descriptor-budget.ts';
import { isAtOrBelow } from '../native/mountinfo.ts';
import { type BrokenSource, BrokenSources } from './broken-sources.ts';
import type { ConditionState } from './condition.ts';
import type { SeenSource, SourceDoubts } from './doubts.ts';
import type { Hold } from './held-sources.ts';
import { type FileIdentity, isSame, type RecordedSource } from './identity.ts';
import { LeasedElsewhere } from './leased-elsewhere.ts';
import type { LeaseCounts, LeaseOptions, Writers } from './leased-sources.ts';
import { Leasing } from './leasing.ts';
import type { ReadersLook } from './look-at-readers.ts';
import { OpenSources, type OpenSourcesOptions } from './open-sources.ts';
import type { Readers } from './readers.ts';
import type { SourceAccess } from './source-access.ts';
import { SETTLING_MS, SourceChanges } from './source-changes.ts';
import { NotServed, type Opening, SourceFile, type SourceLooks } from './source-file.ts';
import { Spares } from './spares.ts';

/** Milliseconds for which a look at a source is believed, where a look is not made after each read. */
export const FRESH_MS = 1000;
const TRIES = 3;
const PAUSE_MS = 150;

export interface SourceFilesOptions {
  readonly record: (id: number) => RecordedSource | undefined;
  readonly access: SourceAccess;
  readonly readersLook: ReadersLook;
  readonly looks: SourceLooks;
  /** Absent: only what is as recorded is served. */
  readonly doubts?: SourceDoubts | undefined;
  /** Absent: a write is found by the look after the next read. */
  readonly leases?: LeaseOptions | undefined;
  readonly writers?: Writers | undefined;
  /** Called when an open source becomes doubted: bytes of it may have been served that it does not have. */
  readonly onDoubted?: (id: number) => void;
  /** Called with who may read the file that serves a source, whenever that was looked at. */
  readonly onReaders: (id: number, readers: Readers) => void;
  /** Called with the number of hard links of a source, whenever it was looked at itself. */
  readonly onLinks?: (id: number, links: number) => void;
  readonly descriptors: DescriptorBudget;
  /** Tells if a path is that of a kept file. Default: none is. */
  readonly isKept?: (path: Buffer) => boolean;
  readonly hold?: Hold | undefined;
  readonly lastChance?: OpenSourcesOptions['lastChance'];
  /** Tells if a spare is a pin: all of the source's bytes, which nobody else can write to. Default: none is. */
  readonly isPin?: (spare: RecordedSource) => boolean;
  /** Called with a source whose pin cannot be served. */
  readonly onPinFailed?: ((id: number) => void) | undefined;
  readonly logger: Logger;
}

export class SourceFiles {
  readonly #record: (id: number) => RecordedSource | undefined;
  readonly #opening: Opening;
  readonly #doubts: SourceDoubts | undefined;
  readonly #isKept: (path: Buffer) => boolean;
  readonly #isPin: (spare: RecordedSource) => boolean;
  readonly #spares: Spares;
  readonly #onReaders: SourceFilesOptions['onReaders'];
  readonly #onLinks: SourceFilesOptions['onLinks'];
  readonly #onDoubted: SourceFilesOptions['onDoubted'];
  readonly #open: OpenSources;
  readonly #resolving = new Map<number, { readonly file: Promise<SourceFile>; readonly looks: boolean }>();
  readonly #broken: BrokenSources;
  readonly #changes = new SourceChanges();
  readonly #leasing: Leasing | undefined;
  /** The source that is being judged: what is found out of it is ours. */
  #judging: number | undefined;

  constructor(options: SourceFilesOptions) {
    const { record, leases, readersLook, logger } = options;
    this.#record = record;
    this.#doubts = options.doubts;
    this.#isKept = options.isKept ?? (() => false);
    this.#isPin = options.isPin ?? (() => false);
    this.#onReaders = options.onReaders;
    this.#onLinks = options.onLinks;
    this.#onDoubted = options.onDoubted;
    this.#spares = new Spares({
      record,
      readersLook,
      isPin: this.#isPin,
      opened: async (one, spare, look) => (await this.#known(one, look)) ?? (await this.#openOne(one, spare)),
      onPinFailed: options.onPinFailed,
      logger,
    });
    this.#broken = new BrokenSources(logger);
    this.#open = new OpenSources(options);
    this.#leasing =
      leases &&
      new Leasing({
        ...leases,
        writers: options.writers,
        files: this.#open,
        record,
        isKept: ({ record: { path } }) => this.#isKept(path),
        openFor: async (id, record) => (this.#resolving.has(id) ? undefined : await this.#openOne(id, record)),
        differs: (id, why) => this.#doubts?.differs(id, why, undefined),
        judged: (file, found) => this.#judged(file, found),
        unwritten: (file, doubtNow) => this.#unwritten(file, doubtNow),
        logger,
      });
    const closing = this.#leasing && ((file: SourceFile) => this.#leasing?.closing(file));
    this.#opening = {
      access: options.access,
      readersLook,
      looks: options.looks,
      descriptors: options.descriptors.share(() => this.#open.closeIdle()),
      closing,
    };
  }

  /** The table of open sources. */
  get open(): OpenSources {
    return this.#open;
  }

  /** Undefined where no leases are taken. */
  get leaseCounts(): LeaseCounts | undefined {
    return this.#leasing?.counts;
  }

  get broken(): readonly BrokenSource[] {
    return this.#broken.list();
  }

  /** Tells if an open file has a lease, and no writer waits for it. */
  isLeased(file: SourceFile): boolean {
    return this.#leasing?.isHeld(file) === true;
  }

  /** Waits until it is known whether a file gets the lease that was asked for; undefined: that is known. */
  leaseAnswered(file: SourceFile): Promise<unknown> | undefined {
    return this.#leasing?.answered(file);
  }

  /** Tells if the own file of a source is not served, for reads of it failed or had wrong bytes. */
  isBroken(id: number): boolean {
    return this.#broken.has(id) || this.#broken.hasWrong(id);
  }

  /** Tells if a file is a pin. */
  isPin({ record }: SourceFile): boolean {
    return this.#isPin(record);
  }

  /**
   * Finds the open file that serves source `id`, looked at within the last second, or now if `look` is set. It may be closed
   * again before the caller goes on: check `closed`.
   * @throws EIO, and ENFILE if too many files are open, which says nothing about the source
   */
  async serve(id: number, look = false): Promise<SourceFile> {
    for (;;) {
      const running = this.#resolving.get(id);
      if (running === undefined) break;
      if (running.looks || !look) return await running.file;
      // The running call may rely on an earlier look, which is not enough for this caller.
      await running.file.catch(() => {});
    }
    const file = this.#resolve(id, look)
      .then(async (served) => {
        await this.#noteLook(id, served);
        return served;
      })
      .finally(() => this.#resolving.delete(id));
    this.#resolving.set(id, { file, looks: look });
    return await file;
  }

  async #noteLook(id: number, served: SourceFile): Promise<void> {
    if (id === served.id) this.#onLinks?.(id, served.links);
    const readers = await this.#spares.readersOf(id, served);
    if (readers !== undefined) return this.#onReaders(id, readers);
    // It is not in its place, and nobody else would notice as long as its pin is served.
    const record = this.#record(id);
    if (record === undefined || this.#doubts?.of(id) !== 0) return;
    await this.#openOne(id, record).catch((error: unknown) => {
      if (error instanceof NotServed) this.#doubts?.differs(id, error.why, undefined);
    });
  }

  /** Closes a file of which a read failed or ended early: it is opened again before its next use. */
  distrust(file: SourceFile): void {
    this.#open.drop(file);
  }

  /** Replaces a source that opens but cannot be read by a spare. @throws EIO if there is none */
  async replace(id: number, failed: SourceFile, reason: string): Promise<SourceFile> {
    const record = this.#record(id);
    if (record === undefined) throw new PosixError('EIO', reason);
    const spare = await this.spareOf(id, failed.id);
    this.#broken.note(id, { path: record.path, reason, spare: spare?.record.path, unreadable: true });
    if (spare === undefined) throw new PosixError('EIO', reason);
    await this.#noteLook(id, spare);
    return spare;
  }

  /** Opens the first spare of a source that can be opened and is not `except`. */
  async spareOf(id: number, except?: number): Promise<SourceFile | undefined> {
    return await this.#spares.first(id, except);
  }

  /** The open file of a source, looked at within the last second, or now if `look` is set. */
  async #known(id: number, look: boolean): Promise<SourceFile | undefined> {
    const known = this.#open.get(id);
    const isFresh = known !== undefined && !look && performance.now() - known.checkedAt < FRESH_MS;
    return isFresh ? this.#open.used(known) : await this.#lookedAt(id);
  }

  /** The open file of a source, whatever it is by now. */
  openFile(id: number): SourceFile | undefined {
    return this.#open.get(id);
  }

  /** Tells if a file is one that was kept of another source, and may have holes. */
  isKept({ record }: SourceFile): boolean {
    return this.#isKept(record.path) && !this.#isPin(record);
  }

  /** Notes that a read of source `id` itself succeeded. */
  confirm(id: number): void {
    this.#broken.healed(id);
  }

  /** Notes that sources, read from their own files, do not have the bytes of a piece. */
  noteWrong(ids: readonly number[], piece: number): void {
    this.#doubts?.wrong(ids, piece);
    for (const id of ids) {
      const path = this.#record(id)?.path;
      const doubt = this.#open.get(id)?.doubt ?? 0;
      if (path !== undefined) this.#broken.noteWrong(id, path, `it does not have the bytes of piece ${piece}`, doubt);
    }
  }

  /** Has the cases of sources settled at once, and waits until one is. False if none is within `ms`. */
  async settled(ids: readonly number[], ms: number): Promise<boolean> {
    if (ids.length === 0 || ms <= 0 || this.#doubts?.urgent(ids) !== true) return false;
    return await this.#changes.wait(ids, ms);
  }

  /** Calls `listener` with sources whose records or conditions have changed, until the returned function is called. */
  onChanged(listener: (ids: readonly number[]) => void): () => void {
    return this.#changes.on(listener);
  }

  /** Looks at sources anew at their next use, and opens those whose records lead to other files. */
  sourcesChanged(ids: readonly number[]): void {
    for (const id of ids) {
      this.#open.recordChanged(id);
      this.#broken.retry(id);
    }
    this.#changes.changed(ids);
  }

  /** Opens sources below a folder that was renamed anew at their next use, and those at once for which readers wait. */
  folderRenamed(from: Buffer): void {
    const open = [...this.#open.values()].filter(({ record }) => isAtOrBelow(record.path, from)).map(({ id }) => id);
    const broken = this.#broken.list().flatMap(({ id, path }) => (isAtOrBelow(path, from) ? [id] : []));
    this.sourcesChanged([...open, ...broken]);
  }

  /** Takes over what somebody else has found out of a source. `state`: undefined if it is trusted. */
  conditionChanged(id: number, state: ConditionState | undefined): void {
    const file = this.#open.get(id);
    if (this.#judging === id) return state === undefined ? this.#changes.changed([id]) : undefined;
    if (state === undefined) {
      this.#open.trusted(id);
      return this.sourcesChanged([id]);
    }
    // Those who wait for its case need not wait on: nothing more will be found soon.
    if (state === 'lost' || state === 'waiting') this.#changes.changed([id]);
    const doubt = this.#doubts?.of(id) ?? 0;
    if (file === undefined || doubt <= file.doubt) return;
    file.doubt = doubt;
    file.distrust();
    this.#onDoubted?.(id);
  }

  /** Closes the files on disks that were released: none of them is opened again. */
  letGo(): void {
    this.#open.letGo(this.#opening.access.released);
  }

  /** Mounts have changed: what lies on one that is gone is held no longer. */
  async mountsChanged(): Promise<void> {
    await this.#open.mountsChanged(this.#opening.access.fileSystems);
  }

  retain(file: SourceFile): void {
    this.#open.retain(file);
  }

  release(file: SourceFile): void {
    this.#open.release(file);
  }

  /** Finds out what became of sources that somebody had opened for writing when the last server ended. */
  takeUpOpened(ids: Iterable<number>): void {
    this.#leasing?.takeUp(ids);
  }

  close(): void {
    this.#leasing?.close();
    this.#open.close();
  }

  async #resolve(id: number, look: boolean): Promise<SourceFile> {
    const pin = await this.#spares.pinOf(id, look);
    if (pin !== undefined) return pin;
    const known = this.#open.get(id);
    const file = await this.#known(id, look);
    if (file !== undefined) return file;
    if (known === undefined) this.#broken.refuseAgain(id, FRESH_MS);
    for (;;) {
      const reason = await this.#tried(id);
      if (typeof reason !== 'string') return reason;
      const spare = await this.spareOf(id);
      const path = this.#record(id)?.path ?? Buffer.alloc(0);
      const sinceMs = this.#broken.note(id, { path, reason, spare: spare?.record.path, unreadable: false });
      if (spare !== undefined) return spare;
      const left = sinceMs + SETTLING_MS - Date.now();
      const isUrgent = left > 0 && this.#doubts?.urgent([id]) === true;
      if (!isUrgent || !(await this.#changes.wait([id], left))) throw new PosixError('EIO', reason);
    }
  }

  /** Opens a source. Returns why it could not be opened, if it could not. @throws EMFILE, ENFILE */
  async #tried(id: number): Promise<SourceFile | string> {
    let reason = '';
    const tries = this.#broken.has(id) ? 1 : TRIES;
    for (let i = 0; i < tries; i++) {
      if (i > 0) await sleep(PAUSE_MS);
      const record = this.#record(id);
      if (record === undefined) throw new PosixError('EIO', `source ${id} is not in the store`);
      try {
        const file = await this.#openOne(id, record);
        this.#broken.opened(id);
        return file;
      } catch (error) {
        if (isOutOfDescriptors(error) || error instanceof LeasedElsewhere) throw error;
        reason = messageOf(error);
        if (i === tries - 1 && error instanceof NotServed) this.#doubts?.differs(id, error.why, undefined);
      }
    }
    return reason;
  }

  /** The open file of a source after another look at it. Undefined if it cannot be served any more. */
  async #lookedAt(id: number): Promise<SourceFile | undefined> {
    const known = this.#open.get(id);
    if (known === undefined) return undefined;
    const found = await known.look();
    // Its last user may have closed it meanwhile. A closed file must not be found again.
    if (!known.closed && found !== undefined && (this.#isKnown(known, found) || this.#judged(known, found))) {
      return this.#open.used(known);
    }
    this.#open.drop(known);
    return undefined;
  }

  async #openOne(id: number, record: RecordedSource): Promise<SourceFile> {
    const file = await SourceFile.open(id, record, this.#opening);
    const other = this.#open.get(id);
    if (other !== undefined && !other.closed) {
      // It was opened as a spare and for itself at the same time.
      file.close();
      return this.#open.used(other);
    }
    const { difference } = file;
    if (!this.#judged(file, file.identity)) {
      file.close();
      throw new NotServed({ why: difference ?? { code: 'modified', says: 'was modified' } });
    }
    return this.#open.used(file);
  }

  /** Tells if a file is what it was, and is believed as it was. */
  #isKnown(file: SourceFile, found: FileIdentity): boolean {
    return isSame(file.standing, found) && file.doubt === (this.#doubts?.of(file.id) ?? 0);
  }

  /** Takes what an open file is now for what it is. False if it must not be served. */
  #judged(file: SourceFile, found: FileIdentity): boolean {
    file.accept(found);
    this.#judging = file.id;
    const doubt = this.#doubtOf(file, { identity: found, fd: file.fd });
    this.#judging = undefined;
    if (file.users > 0 && (doubt ?? 1) > file.doubt) this.#onDoubted?.(file.id);
    file.doubt = doubt ?? 0;
    this.#broken.judged(file.id, file.doubt);
    if (doubt !== undefined) this.#leasing?.noteOpen(file);
    return doubt !== undefined;
  }

  /** Nobody has changed a source that somebody had opened for writing. */
  #unwritten(file: SourceFile, doubtNow: () => number): void {
    this.#judging = file.id;
    file.doubt = doubtNow();
    this.#judging = undefined;
    this.#broken.judged(file.id, file.doubt);
  }

  #doubtOf({ id, difference, unlinked }: SourceFile, seen: Omit<SeenSource, 'unlinked'>): number | undefined {
    const doubts = this.#doubts;
    if (difference === undefined) return doubts === undefined ? 0 : doubts.asRecorded(id, { ...seen, unlinked });
    if (doubts !== undefined) return doubts.differs(id, difference, { ...seen, unlinked });
    // A rename or a chmod changes the ctime, too.
    return difference.code === 'ctime' ? 0 : undefined;
  }
}
