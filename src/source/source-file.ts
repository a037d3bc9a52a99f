/** An open source: read-only, and only as long as it is as recorded. */
import { close, fstat } from 'node:fs';
import { promisify } from 'node:util';
import type { DescriptorShare } from '../native/descriptor-budget.ts';
import { type Difference, differenceOf, type Recorded, type RecordedSource } from './identity.ts';
import { type Absent, openSource, type Suspect } from './open-source.ts';
import type { OwnMounts } from './own-mounts.ts';

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
  readonly #descriptors: DescriptorShare;
  #closed = false;
  #descriptorGone = false;
  #checking: Promise<boolean> | undefined;

  private constructor(id: number, record: RecordedSource, fd: number, descriptors: DescriptorShare) {
    this.id = id;
    this.record = record;
    this.fd = fd;
    this.checkedAt = performance.now();
    this.#descriptors = descriptors;
  }

  /** Opens a source if it is as recorded. @throws NotServed; ENFILE if too many files are open */
  static async open(
    id: number,
    record: RecordedSource,
    ownMounts: OwnMounts,
    descriptors: DescriptorShare,
  ): Promise<SourceFile> {
    const fd = await descriptors.open(async () => {
      const answer = await openSource({ path: record.path, recorded: onAnyDevice(record) }, ownMounts);
      if (answer.state !== 'as recorded') throw new NotServed(answer);
      return answer.fd;
    });
    return new SourceFile(id, record, fd, descriptors);
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
      if (differenceOf(onAnyDevice(this.record), await fstatAsync(this.fd)) !== undefined) return false;
    } catch {
      return false;
    } finally {
      this.done();
    }
    this.checkedAt = before;
    return true;
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
    this.#descriptors.closed();
    close(this.fd);
  }
}

/** A record outlives boots, after which a disk may have another device number. */
function onAnyDevice({ ino, size, mtimeMs }: RecordedSource): Recorded {
  return { ino, size, mtimeMs };
}
