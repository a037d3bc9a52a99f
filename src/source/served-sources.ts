/**
 * Says which open file serves the bytes of a source: the source itself, or a spare when it is not as recorded.
 *
 * Each source is opened once for all its readers, and checked again at most once a second. A source that is not as recorded
 * is opened again by its path, three times within 300 ms (a disk may be waking, or a file being moved back); then its spares
 * are tried; then reads fail with EIO. A source that is known to be broken is tried once at each further open, without
 * waiting, and at most once a second while a file is open.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, PosixError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { type DescriptorBudget, isOutOfDescriptors } from '../native/descriptor-budget.ts';
import type { RecordedSource } from './identity.ts';
import type { ReadersLook } from './look-at-readers.ts';
import type { Readers } from './readers.ts';
import type { SourceAccess } from './source-access.ts';
import { type Opening, SourceFile } from './source-file.ts';

/** Milliseconds for which a check of a source is believed: the window of invariant 2. */
export const FRESH_MS = 1000;
const TRIES = 3;
const PAUSE_MS = 150;

/** A source that is not as recorded. */
export interface BrokenSource {
  readonly id: number;
  readonly path: Buffer;
  readonly reason: string;
  readonly sinceMs: number;
  /** The copy that is served instead. Absent: reads fail. */
  readonly spare?: Buffer;
}

interface Trouble {
  readonly broken: BrokenSource;
  readonly triedAt: number;
  /** True: it opens as recorded, but reads of it fail: a dying disk. Only a read that succeeds ends this. */
  readonly unreadable: boolean;
}

export interface SourceFilesOptions {
  readonly record: (id: number) => RecordedSource | undefined;
  readonly access: SourceAccess;
  readonly readersLook: ReadersLook;
  /** Called with who may read the file that serves a source, whenever that was looked at. */
  readonly onReaders: (id: number, readers: Readers) => void;
  readonly descriptors: DescriptorBudget;
  readonly logger: Logger;
}

export class SourceFiles {
  readonly #record: (id: number) => RecordedSource | undefined;
  readonly #opening: Opening;
  readonly #onReaders: SourceFilesOptions['onReaders'];
  readonly #logger: Logger;
  /** By source id, in the order of use: the one that has been unused the longest comes first. */
  readonly #open = new Map<number, SourceFile>();
  readonly #resolving = new Map<number, { readonly file: Promise<SourceFile>; readonly looks: boolean }>();
  readonly #broken = new Map<number, Trouble>();

  constructor({ record, access, readersLook, onReaders, descriptors, logger }: SourceFilesOptions) {
    this.#record = record;
    this.#onReaders = onReaders;
    this.#logger = logger;
    this.#opening = { access, readersLook, descriptors: descriptors.share(() => this.#closeIdle()) };
  }

  get openCount(): number {
    return this.#open.size;
  }

  get broken(): readonly BrokenSource[] {
    return [...this.#broken.values()].map(({ broken }) => broken);
  }

  /**
   * Finds the open file that serves source `id`, checked within the last second, or now if `look` is set. It may be closed
   * again before the caller goes on: check `closed`.
   * @throws EIO, and ENFILE if too many files are open, which says nothing about the source
   */
  async serve(id: number, look = false): Promise<SourceFile> {
    for (;;) {
      const running = this.#resolving.get(id);
      if (running === undefined) break;
      if (running.looks || !look) return await running.file;
      // The running call may rely on an earlier check, which is not enough for this caller.
      await running.file.catch(() => {});
    }
    const file = this.#resolve(id, look)
      .then((served) => {
        this.#onReaders(id, served.readers);
        return served;
      })
      .finally(() => this.#resolving.delete(id));
    this.#resolving.set(id, { file, looks: look });
    return await file;
  }

  /** Closes a file of which a read failed or ended early: it is opened again before its next use. */
  distrust(file: SourceFile): void {
    this.#drop(file);
  }

  /** Replaces a source that opens but cannot be read by a spare. @throws EIO if there is none */
  async replace(id: number, failed: SourceFile, reason: string): Promise<SourceFile> {
    const record = this.#record(id);
    if (record === undefined) throw new PosixError('EIO', reason);
    const spare = await this.#firstSpare(record, failed.id);
    this.#failed(id, record, reason, spare, true);
    if (spare === undefined) throw new PosixError('EIO', reason);
    this.#onReaders(id, spare.readers);
    return spare;
  }

  /** Notes that a read of source `id` itself succeeded. */
  confirm(id: number): void {
    if (this.#broken.size > 0) this.#healed(id);
  }

  retain(file: SourceFile): void {
    file.users++;
  }

  release(file: SourceFile): void {
    file.users--;
    if (file.users <= 0) this.#drop(file);
  }

  close(): void {
    for (const file of this.#open.values()) file.close();
    this.#open.clear();
  }

  async #resolve(id: number, look: boolean): Promise<SourceFile> {
    const trouble = this.#broken.get(id);
    const known = this.#open.get(id);
    if (known !== undefined) {
      const fresh = !look && performance.now() - known.checkedAt < FRESH_MS;
      // Its last user may have closed it meanwhile. A closed file must not be found again.
      if ((fresh || (await known.check())) && !known.closed) return this.#used(known);
      this.#drop(known);
    } else if (
      trouble !== undefined &&
      trouble.broken.spare === undefined &&
      performance.now() - trouble.triedAt < FRESH_MS
    ) {
      throw new PosixError('EIO', trouble.broken.reason);
    }
    const record = this.#record(id);
    if (record === undefined) throw new PosixError('EIO', `source ${id} is not in the store`);
    let reason = '';
    const tries = trouble === undefined ? TRIES : 1;
    for (let i = 0; i < tries; i++) {
      if (i > 0) await sleep(PAUSE_MS);
      try {
        const file = await this.#openOne(id, record);
        if (trouble?.unreadable !== true) this.#healed(id);
        return file;
      } catch (error) {
        if (isOutOfDescriptors(error)) throw error;
        reason = messageOf(error);
      }
    }
    const spare = await this.#firstSpare(record);
    this.#failed(id, record, reason, spare, false);
    if (spare === undefined) throw new PosixError('EIO', reason);
    return spare;
  }

  async #firstSpare(record: RecordedSource, except?: number): Promise<SourceFile | undefined> {
    for (const id of record.spares) {
      if (id === except) continue;
      const known = this.#open.get(id);
      if (known !== undefined && (await known.check()) && !known.closed) return this.#used(known);
      const spare = this.#record(id);
      if (spare === undefined) continue;
      try {
        return await this.#openOne(id, spare);
      } catch (error) {
        if (isOutOfDescriptors(error)) throw error;
        this.#logger.debug(`${spare.path.toString()} cannot stand in: ${messageOf(error)}`);
      }
    }
    return undefined;
  }

  async #openOne(id: number, record: RecordedSource): Promise<SourceFile> {
    const file = await SourceFile.open(id, record, this.#opening);
    const other = this.#open.get(id);
    if (other !== undefined && !other.closed) {
      // It was opened as a spare and for itself at the same time.
      file.close();
      return this.#used(other);
    }
    this.#open.set(id, file);
    return file;
  }

  #used(file: SourceFile): SourceFile {
    this.#open.delete(file.id);
    this.#open.set(file.id, file);
    return file;
  }

  #closeIdle(): boolean {
    for (const file of this.#open.values()) {
      if (file.busy > 0) continue;
      this.#drop(file);
      return true;
    }
    return false;
  }

  #drop(file: SourceFile): void {
    if (this.#open.get(file.id) === file) this.#open.delete(file.id);
    file.close();
  }

  #healed(id: number): void {
    const trouble = this.#broken.get(id);
    if (trouble === undefined) return;
    this.#broken.delete(id);
    this.#logger.info(`${trouble.broken.path.toString()} is as it was recorded again, and is served`);
  }

  #failed(
    id: number,
    record: RecordedSource,
    reason: string,
    spare: SourceFile | undefined,
    unreadable: boolean,
  ): void {
    const before = this.#broken.get(id);
    const broken: BrokenSource = {
      id,
      path: record.path,
      reason,
      sinceMs: before?.broken.sinceMs ?? Date.now(),
      ...(spare === undefined ? {} : { spare: spare.record.path }),
    };
    this.#broken.set(id, { broken, triedAt: performance.now(), unreadable });
    if (before !== undefined && (before.broken.spare === undefined) === (spare === undefined)) return;
    const instead = spare === undefined ? 'reads of it fail' : `${spare.record.path.toString()} is served instead`;
    this.#logger.warn(`${record.path.toString()} is not served: ${reason}; ${instead}`);
  }
}
