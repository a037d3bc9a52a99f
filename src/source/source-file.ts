/** An open source: read-only, and only as long as it is as recorded. */
import { type BigIntStats, close, fstat } from 'node:fs';
import { promisify } from 'node:util';
import type { DescriptorShare } from '../native/descriptor-budget.ts';
import {
  type Difference,
  differenceOf,
  identityOf,
  notRegular,
  type Recorded,
  type RecordedSource,
} from './identity.ts';
import type { ReadersLook } from './look-at-readers.ts';
import { type Absent, openSource, type Suspect } from './open-source.ts';
import type { Readers } from './readers.ts';
import type { SourceAccess } from './source-access.ts';

const fstatAsync = promisify(fstat);

/** Why a source is not served: `suspect` or `absent`. */
export class NotServed extends Error {
  readonly state: 'suspect' | 'absent';
  readonly why: Difference;

  constructor({ state, why }: Suspect | Absent) {
    super(`it ${why.says}`);
    this.state = state;
    this.why = why;
  }
}

/** What opening a source needs. */
export interface Opening {
  readonly access: SourceAccess;
  readonly readersLook: ReadersLook;
  /** A source whose descriptor had to be closed is opened again by its path at the next read. */
  readonly descriptors: DescriptorShare;
}

export class SourceFile {
  readonly id: number;
  readonly record: RecordedSource;
  readonly fd: number;
  /** Handles that use it. */
  users = 0;
  /** Reads in flight: the descriptor must not be closed under them. */
  busy = 0;
  /** The time of the last check that found it as recorded; `performance.now()`. */
  checkedAt: number;
  /** Who could read it at the last check. */
  #readers: Readers = 'nobody';
  readonly #opening: Opening;
  #closed = false;
  #descriptorGone = false;
  #checking: Promise<boolean> | undefined;

  private constructor(id: number, record: RecordedSource, fd: number, opening: Opening) {
    this.id = id;
    this.record = record;
    this.fd = fd;
    this.checkedAt = performance.now();
    this.#opening = opening;
  }

  /** Opens a source if it is as recorded. @throws NotServed; ENFILE if too many files are open */
  static async open(id: number, record: RecordedSource, opening: Opening): Promise<SourceFile> {
    const { access, descriptors } = opening;
    let stats: BigIntStats | undefined;
    const fd = await descriptors.open(async () => {
      const answer = await openSource({ path: record.path, recorded: compared(record) }, access);
      if (answer.state !== 'as recorded') throw new NotServed(answer);
      stats = answer.stats;
      return answer.fd;
    });
    const file = new SourceFile(id, record, fd, opening);
    if (stats !== undefined) await file.#lookAtReaders(stats);
    return file;
  }

  get readers(): Readers {
    return this.#readers;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Checks the open file again. False if it differs from its record. An unlinked or renamed file is still the verified file:
   * its bytes are right, and it is served as long as it is open.
   */
  async check(): Promise<boolean> {
    if (this.#closed) return false;
    this.#checking ??= this.#look().finally(() => {
      this.#checking = undefined;
    });
    return await this.#checking;
  }

  async #look(): Promise<boolean> {
    const before = performance.now();
    this.begin();
    try {
      const stats = await fstatAsync(this.fd, { bigint: true });
      if (notRegular(stats) !== undefined) return false;
      if (differenceOf(compared(this.record), identityOf(stats)) !== undefined) return false;
      await this.#lookAtReaders(stats);
    } catch {
      return false;
    } finally {
      this.done();
    }
    this.checkedAt = before;
    return true;
  }

  async #lookAtReaders(stats: BigIntStats): Promise<void> {
    this.#readers = await this.#opening.readersLook.atOpen(this.fd, stats, this.record.path);
  }

  /** Closes the descriptor as soon as no read uses it. */
  close(): void {
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
    close(this.fd);
  }
}

/**
 * A record outlives boots, after which a disk may have another device number. The ctime is not compared: a rename or a
 * chmod changes it as well.
 */
function compared({ ino, size, mtimeNs }: RecordedSource): Recorded {
  return { ino, size, mtimeNs };
}
