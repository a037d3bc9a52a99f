/** The table of open sources: each is open once for all its users, and is held for a while when the last one has left it. */
import type { FileSystems } from './file-system.ts';
import { firstToClose, HeldSources, type Hold } from './held-sources.ts';
import { isSameIdentity, type RecordedSource } from './identity.ts';
import type { ReleasedFolders } from './released-folders.ts';
import type { SourceFile } from './source-file.ts';

export interface OpenSourcesOptions {
  readonly record: (id: number) => RecordedSource | undefined;
  readonly hold?: Hold | undefined;
  /**
   * Called with a doubted file that was held for long enough: it may be the only way to its bytes. Its descriptor is closed
   * afterwards. Never rejects.
   */
  readonly lastChance?: ((file: SourceFile) => Promise<void>) | undefined;
}

export class OpenSources {
  readonly #record: OpenSourcesOptions['record'];
  readonly #lastChance: OpenSourcesOptions['lastChance'];
  /** By source id, in the order of use: the one that has been unused the longest comes first. */
  readonly #files = new Map<number, SourceFile>();
  readonly #held: HeldSources;

  constructor({ record, hold, lastChance }: OpenSourcesOptions) {
    this.#record = record;
    this.#lastChance = lastChance;
    this.#held = new HeldSources((file) => this.#closeHeld(file), hold);
  }

  get size(): number {
    return this.#files.size;
  }

  /** How many are open without a user. */
  get held(): number {
    return this.#held.size;
  }

  get(id: number): SourceFile | undefined {
    return this.#files.get(id);
  }

  values(): IterableIterator<SourceFile> {
    return this.#files.values();
  }

  /** Adds a file, or notes that one is being used. */
  used(file: SourceFile): SourceFile {
    this.#files.delete(file.id);
    this.#files.set(file.id, file);
    if (file.users === 0) this.#held.add(file);
    return file;
  }

  retain(file: SourceFile): void {
    file.users++;
    this.#held.remove(file);
  }

  /** Ends a use. The last entry of a source without a record is gone. */
  release(file: SourceFile): void {
    file.users--;
    if (file.users > 0) return;
    if (file.closed || file.detached || this.#record(file.id) === undefined) this.drop(file);
    else this.used(file);
  }

  drop(file: SourceFile): void {
    if (this.#files.get(file.id) === file) this.#files.delete(file.id);
    this.#held.remove(file);
    file.close();
  }

  #closeHeld(file: SourceFile): void {
    if (file.doubt > 0 && this.#lastChance !== undefined) {
      file.begin();
      void this.#lastChance(file).finally(() => file.done());
    }
    this.drop(file);
  }

  /**
   * Follows the record of a source, which may have changed. The file is closed if the record leads to another one: until then it
   * may be the only way to the bytes. Whoever has a file of a removed entry open still reads it.
   */
  recordChanged(id: number): void {
    const file = this.#files.get(id);
    const record = this.#record(id);
    if (file === undefined || (record === undefined && file.users > 0)) return;
    if (record === undefined || !file.follow(record)) this.drop(file);
  }

  /** A source is trusted: its file is closed unless it is the recorded one. */
  trusted(id: number): void {
    const file = this.#files.get(id);
    const record = this.#record(id);
    if (file === undefined || record === undefined) return;
    if (isSameIdentity(record, file.identity)) file.follow(record);
    else this.drop(file);
  }

  /** Closes one file that is not being read. False if there is none. */
  closeIdle(): boolean {
    const file = firstToClose(this.#files.values());
    if (file !== undefined) this.drop(file);
    return file !== undefined;
  }

  /** Closes the files on disks that were released. */
  letGo(released: ReleasedFolders): void {
    for (const file of this.#files.values()) if (released.holds(file.record.path)) this.drop(file);
  }

  /** Closes the files without a user whose mount is gone: they would keep its disk busy. The others follow with their last user. */
  async mountsChanged(fileSystems: FileSystems): Promise<void> {
    const isMounted = await fileSystems.mountedNow();
    for (const file of this.#files.values()) {
      if (isMounted(file.fd)) continue;
      file.detached = true;
      if (file.users === 0) this.drop(file);
    }
  }

  close(): void {
    this.#held.close();
    for (const file of this.#files.values()) file.close();
    this.#files.clear();
  }
}
