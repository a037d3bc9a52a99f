/** One source, opened: always read-only, and only if it is what the record says. */
import { close, constants, fstat, open, type Stats } from 'node:fs';
import { promisify } from 'node:util';
import { errnoOf, messageOf } from '../errors.ts';
import { type DescriptorShare, isOutOfDescriptors } from '../native/descriptor-budget.ts';
import type { SourceRecord } from '../store/records/record.ts';
import type { OwnMounts } from './own-mounts.ts';

const openAsync = promisify(open);
const fstatAsync = promisify(fstat);
const closeAsync = promisify(close);

/** O_NONBLOCK: a FIFO that took the file's place must not hold a thread for ever. It means nothing for files. */
const READ_ONLY = constants.O_RDONLY | constants.O_NONBLOCK;

/** Why a source is not served, in words for the log and for `status`. */
export class NotServed extends Error {}

export class SourceFile {
  readonly id: number;
  readonly record: SourceRecord;
  readonly fd: number;
  /** Handles that use it. */
  users = 0;
  /** Reads in flight: the descriptor must not be closed under them. */
  busy = 0;
  /** When it was last found to be what the record says; `performance.now()`. */
  checkedAt: number;
  #closed = false;
  #checking: Promise<boolean> | undefined;

  readonly #descriptors: DescriptorShare;

  private constructor(id: number, record: SourceRecord, fd: number, descriptors: DescriptorShare) {
    this.#descriptors = descriptors;
    this.id = id;
    this.record = record;
    this.fd = fd;
    this.checkedAt = performance.now();
  }

  /** @throws NotServed, and ENFILE where too many files are open */
  static async open(
    id: number,
    record: SourceRecord,
    ownMounts: OwnMounts,
    descriptors: DescriptorShare,
  ): Promise<SourceFile> {
    await ownMounts.refresh();
    if (ownMounts.holdsPath(record.path)) throw new NotServed('it lies on a mount of autotorrent');
    const fd = await descriptors.open(async () => await openReadOnly(record.path));
    try {
      const stats = await fstatAsync(fd);
      if (ownMounts.holdsDevice(stats.dev)) throw new NotServed('it lies on a mount of autotorrent');
      const difference = differenceOf(record, stats);
      if (difference !== undefined) throw new NotServed(difference);
    } catch (error) {
      await closeAsync(fd).catch(() => {});
      descriptors.closed();
      throw error instanceof NotServed ? error : new NotServed(messageOf(error));
    }
    return new SourceFile(id, record, fd, descriptors);
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Looks again. An unlinked or renamed file is still the file that was verified: its bytes are right, and it is served
   * for as long as it is open.
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
    this.busy++;
    try {
      if (differenceOf(this.record, await fstatAsync(this.fd)) !== undefined) return false;
    } catch {
      return false;
    } finally {
      this.busy--;
      this.#closeIfDue();
    }
    this.checkedAt = before;
    return true;
  }

  /** Closes the descriptor as soon as no read uses it. */
  close(): void {
    this.#closed = true;
    this.#closeIfDue();
  }

  /** A read begins: the descriptor stays until `done`. */
  begin(): void {
    this.busy++;
  }

  done(): void {
    this.busy--;
    this.#closeIfDue();
  }

  #descriptorGone = false;

  #closeIfDue(): void {
    if (!this.#closed || this.busy > 0 || this.#descriptorGone) return;
    this.#descriptorGone = true;
    this.#descriptors.closed();
    close(this.fd);
  }
}

async function openReadOnly(path: Buffer): Promise<number> {
  try {
    // The user's access times are not ours to change. Only the owner and root may ask for that.
    return await openAsync(path, READ_ONLY | constants.O_NOATIME);
  } catch (error) {
    if (errnoOf(error) !== 'EPERM') throw refusal(error);
  }
  try {
    return await openAsync(path, READ_ONLY);
  } catch (error) {
    throw refusal(error);
  }
}

function refusal(error: unknown): unknown {
  return isOutOfDescriptors(error) ? error : new NotServed(shortly(error));
}

function shortly(error: unknown): string {
  return errnoOf(error) === 'ENOENT' ? 'it is not there any more' : messageOf(error);
}

/**
 * The device is not compared: btrfs, NFS, overlay file systems and disks that are plugged in get another number at each
 * boot. Inode, size and mtime together say that it is the file.
 */
function differenceOf(record: SourceRecord, stats: Stats): string | undefined {
  if (!stats.isFile()) return 'it is no file any more';
  if (stats.size !== record.size) return `it has ${stats.size} bytes instead of ${record.size}`;
  if (stats.mtimeMs !== record.mtimeMs) return 'it was modified';
  if (stats.ino !== record.ino) return 'another file took its place';
  return undefined;
}
