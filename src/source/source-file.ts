/** An open source: read-only, and what is known of the file that it is. */
import { type BigIntStats, close, fstat, read } from 'node:fs';
import { promisify } from 'node:util';
import type { DescriptorShare } from '../native/descriptor-budget.ts';
import type { Turn } from './disk-turns.ts';
import {
  type Difference,
  differenceOf,
  type FileIdentity,
  identityOf,
  isSame,
  isSameContent,
  isSameIdentity,
  notRegular,
  type RecordedSource,
} from './identity.ts';
import { Loans } from './loans.ts';
import type { ReadersLook } from './look-at-readers.ts';
import { type Absent, openSourceAsIs } from './open-source.ts';
import type { Readers } from './readers.ts';
import type { SourceAccess } from './source-access.ts';

const [closeAsync, fstatAsync, readAsync] = [promisify(close), promisify(fstat), promisify(read)];

/** Why a source is not served. */
export class NotServed extends Error {
  readonly why: Difference;

  constructor({ why }: Pick<Absent, 'why'>) {
    super(`it ${why.says}`);
    this.why = why;
  }
}

/** What looks at the files of a file system are worth. */
export interface LooksOf {
  /** A look costs little, and shows every change. */
  readonly local: boolean;
  /** The ctime is the kernel's own, and as exact as its clock. */
  readonly trueCtime: boolean;
  /** A lease on a file tells of each writer before its first byte. */
  readonly leases?: boolean;
}

/** The file systems of sources, and looks at their open files. */
export interface SourceLooks {
  /** Tells of what kind the file system is on which an open file lies. */
  readonly kindOf: (path: Buffer, dev: number) => Promise<LooksOf>;
  /** Compares an open file of a local file system within the call. An unknown ctime may be any. */
  readonly sameAs: (fd: number, identity: FileIdentity) => boolean;
}

/** What opening a source needs. */
export interface Opening {
  readonly access: SourceAccess;
  readonly readersLook: ReadersLook;
  /** A source whose descriptor had to be closed is opened again by its path at the next read. */
  readonly descriptors: DescriptorShare;
  readonly looks: SourceLooks;
  /** Called before a descriptor is closed, which waits for what it gives. */
  readonly closing?: ((file: SourceFile) => Promise<void> | undefined) | undefined;
}

interface Opened {
  readonly fd: number;
  readonly identity: FileIdentity;
  readonly kind: LooksOf;
  readonly turn: Turn;
}

export class SourceFile {
  readonly id: number;
  readonly fd: number;
  /** Looks at it cost little, and show every change: each read is followed by one. */
  readonly local: boolean;
  readonly #leases: boolean;
  /** Threads that read its descriptor, as long as it is what it was and is believed. */
  readonly loans = new Loans();
  #doubt = 0;
  /** Handles that use it. */
  users = 0;
  /** Reads in flight: the descriptor must not be closed under them. */
  busy = 0;
  /** The time of the last look that found it unchanged; `performance.now()`. */
  checkedAt: number;
  /** Its mount is gone: nobody but its users needs it. */
  detached = false;
  #record: RecordedSource;
  readonly #trueCtime: boolean;
  #identity: FileIdentity;
  #standing: FileIdentity;
  /** Who could read it at the last look. */
  #readers: Readers = 'nobody';
  #links = 0;
  readonly #opening: Opening;
  readonly #turn: Turn;
  #closed = false;
  #descriptorGone = false;
  #looking: Promise<FileIdentity | undefined> | undefined;

  private constructor(id: number, record: RecordedSource, { fd, identity, kind, turn }: Opened, opening: Opening) {
    this.id = id;
    this.#record = record;
    this.fd = fd;
    this.local = kind.local;
    this.#trueCtime = kind.trueCtime;
    this.#leases = kind.leases === true;
    this.checkedAt = performance.now();
    this.#identity = identity;
    this.#standing = this.#standingOf(identity);
    this.#opening = opening;
    this.#turn = turn;
  }

  /** Opens what is at the path of a source. @throws NotServed, LeasedElsewhere; ENFILE if too many files are open */
  static async open(id: number, record: RecordedSource, opening: Opening): Promise<SourceFile> {
    const { access, descriptors, looks } = opening;
    let found: { readonly identity: FileIdentity; readonly stats: BigIntStats } | undefined;
    const turn = await access.turns.at(record.path);
    // Who waits for a descriptor must not hold a turn: a read that waits for one keeps its descriptor.
    const fd = await descriptors.open(async () => {
      const answer = await openSourceAsIs(record.path, access, turn);
      if (answer.state !== 'as recorded') throw new NotServed(answer);
      found = answer;
      return answer.fd;
    });
    if (found === undefined) throw new Error('a source was opened and not looked at');
    const { identity, stats } = found;
    const kind = await looks.kindOf(record.path, identity.dev);
    const file = new SourceFile(id, record, { fd, identity, kind, turn }, opening);
    file.#links = Number(stats.nlink);
    await file.#lookAtReaders(stats);
    return file;
  }

  /** The epoch since which its bytes are not believed; 0: they are. */
  get doubt(): number {
    return this.#doubt;
  }

  set doubt(doubt: number) {
    if (doubt !== this.#doubt) this.loans.recall();
    this.#doubt = doubt;
  }

  /** The record that led to it, or that it follows since. */
  get record(): RecordedSource {
    return this.#record;
  }

  /** Its ctime counts. That of our own pool's files does not: links to them come and go. */
  get #ctimeCounts(): boolean {
    return this.#record.ctimeNs !== undefined;
  }

  /** Its inode counts, where the ctime says nothing. */
  get #inodeCounts(): boolean {
    return !this.#trueCtime || !this.#ctimeCounts;
  }

  /** A lease can be had on it, and that it is as recorded means that it was not written to. */
  get leasable(): boolean {
    return this.#leases && this.#trueCtime && this.#ctimeCounts;
  }

  /** No name leads to it any more, as of the last look: it was deleted, or replaced by a rename. */
  get unlinked(): boolean {
    return this.#links === 0;
  }

  /** The names that lead to it on its file system, as of the last look. */
  get links(): number {
    return this.#links;
  }

  /** What the file was at the last look that was accepted. */
  get identity(): FileIdentity {
    return this.#identity;
  }

  /** What the file has to be for bytes that are read of it to count: its ctime is unknown where it does not count. */
  get standing(): FileIdentity {
    return this.#standing;
  }

  get readers(): Readers {
    return this.#readers;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Tells how the file differs from its record. Undefined if it does not. */
  get difference(): Difference | undefined {
    const { ino, size, mtimeNs, ctimeNs } = this.record;
    const recorded = { size, mtimeNs, ctimeNs };
    return differenceOf(this.#inodeCounts ? { ...recorded, ino } : recorded, this.#identity);
  }

  /** Reports whether it is the file that somebody observed. Inodes may be others after a remount: then its times tell. */
  wasObserved(observed: FileIdentity): boolean {
    const now = this.#ctimeCounts ? this.#identity : { ...this.#identity, ctimeNs: observed.ctimeNs };
    return this.#inodeCounts ? isSameIdentity(observed, now) : isSameContent(observed, now);
  }

  /** Takes what the file is now for what it is. */
  accept(identity: FileIdentity): void {
    this.loans.recall();
    this.#identity = identity;
    this.#standing = this.#standingOf(identity);
    this.checkedAt = performance.now();
  }

  /** Takes over a new record, unless it leads to another file. Returns whether it does not. The next reader looks. */
  follow(record: RecordedSource): boolean {
    if (!isSameIdentity(record, this.#record) && !isSameIdentity(record, this.#identity)) return false;
    this.#record = record;
    this.#standing = this.#standingOf(this.#identity);
    this.distrust();
    return true;
  }

  #standingOf(identity: FileIdentity): FileIdentity {
    return this.#ctimeCounts ? identity : { ...identity, ctimeNs: undefined };
  }

  /** Reports whether the file is still what it was. Of a local file this is a look, which takes a microsecond. */
  isStill(standing: FileIdentity): boolean {
    return this.#standing === standing && (!this.local || this.#opening.looks.sameAs(this.fd, standing));
  }

  /** Reads in a thread, when it is the disk's turn. Returns the number of bytes; 0 at the end. @throws the error of read(2) */
  async read(buffer: Buffer, offset: number, length: number, position: number): Promise<number> {
    return await this.#turn(async () => (await readAsync(this.fd, buffer, offset, length, position)).bytesRead);
  }

  /**
   * Looks at the open file again. Returns what it is now; undefined if it cannot be looked at. An unlinked or renamed file
   * is still the same file, and is served as long as it is open.
   */
  async look(): Promise<FileIdentity | undefined> {
    if (this.#closed) return undefined;
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return await this.#looking;
  }

  async #look(): Promise<FileIdentity | undefined> {
    const before = performance.now();
    this.begin();
    try {
      const stats = await this.#turn(async () => await fstatAsync(this.fd, { bigint: true }));
      if (notRegular(stats) !== undefined) return undefined;
      this.#links = Number(stats.nlink);
      await this.#lookAtReaders(stats);
      const found = identityOf(stats);
      if (isSame(this.#standing, found)) this.checkedAt = before;
      return found;
    } catch {
      return undefined;
    } finally {
      this.done();
    }
  }

  async #lookAtReaders(stats: BigIntStats): Promise<void> {
    this.#readers = await this.#opening.readersLook.atOpen(this.fd, stats, this.record.path);
  }

  /** Has the next reader look first. */
  distrust(): void {
    this.loans.recall();
    this.checkedAt = Number.NEGATIVE_INFINITY;
  }

  /** Closes the descriptor as soon as no read uses it. */
  close(): void {
    this.loans.recall();
    this.#closed = true;
    this.#closeIfDue();
  }

  /** Begins a read: the descriptor stays open until `done`. */
  begin(): void {
    this.busy++;
  }

  done(): void {
    this.busy--;
    this.#closeIfDue();
  }

  #closeIfDue(): void {
    if (!this.#closed || this.busy > 0 || this.#descriptorGone) return;
    this.#descriptorGone = true;
    this.#opening.descriptors.closed();
    // A file system of another program may have to be asked.
    const { released } = this.#opening.access;
    const before = this.#opening.closing?.(this);
    const closing = async (): Promise<void> => {
      if (before !== undefined) await before;
      await this.#turn(async () => await closeAsync(this.fd));
    };
    void released.during(this.record.path, closing).catch(() => {});
  }
}
