/** Writes a new generation of the index: folders in the background, as the scan finds them; the rest at the end. */
import { setImmediate as pause } from 'node:timers/promises';

import { hashName, hashText } from '../names.ts';
import { isReleasePart, releaseRoots } from '../release.ts';
import { type FolderRecord, GROWING, IGNORED } from '../scan/folder-record.ts';
import { ABSENT, tablePuts } from './folder-table.ts';
import { float64Column, uint32Column } from './growing-column.ts';
import { type IndexDatabase, KIND, keyOf, type PostingKind, type Put } from './index-database.ts';
import { LeftOutRows, NO_SIZE } from './left-out-rows.ts';
import { type PostingColumns, postingPuts, sortedRows } from './postings.ts';

/** Bytes of a page. Records are small and LevelDB's cost is per key, so some ten records share a page. */
const PAGE_BYTES = 16 << 10;
const BATCH_BYTES = 1 << 20;
const BATCHES_AT_ONCE = 3;
/** After this many records the thread is free for others: the index answers while it is rebuilt. */
const PUTS_AT_ONCE = 512;

const PART = 1;
const MARKED = 2;
const DISK = 4;

export class GenerationWriter {
  files = 0;
  folders = 0;
  bytes = 0;
  readonly #db: IndexDatabase;
  readonly #generation: number;

  readonly #parents = uint32Column();
  readonly #firstSubfolders = uint32Column();
  readonly #pageOf = uint32Column();
  readonly #offsets = uint32Column();
  readonly #lengths = uint32Column();
  readonly #flags = uint32Column();
  readonly #nameHashes = uint32Column();
  readonly #byteHashes = uint32Column();

  readonly #folderColumns = [
    this.#firstSubfolders,
    this.#pageOf,
    this.#offsets,
    this.#lengths,
    this.#flags,
    this.#nameHashes,
    this.#byteHashes,
  ];

  readonly #sizes = float64Column();
  readonly #inodes = float64Column();
  readonly #devs = float64Column();
  readonly #hashes = uint32Column();
  readonly #folderOf = uint32Column();
  readonly #fileOf = uint32Column();
  readonly #fileFlags = uint32Column();

  readonly #memberSizes = float64Column();
  readonly #memberHashes = uint32Column();
  readonly #memberFolders = uint32Column();
  readonly #memberOf = uint32Column();
  readonly #memberFlags = uint32Column();

  readonly #leftOut = new LeftOutRows();

  #page: Uint8Array[] = [];
  #pageBytes = 0;
  #pages = 0;
  #batch: Put[] = [];
  #batchBytes = 0;
  readonly #writing = new Set<Promise<void>>();

  constructor(db: IndexDatabase, generation: number) {
    this.#db = db;
    this.#generation = generation;
  }

  get ids(): number {
    return this.#parents.length;
  }

  /** Reserves consecutive ids for `count` folders. Returns the first. */
  reserve(count: number): number {
    const first = this.ids;
    this.#parents.extend(count, () => ABSENT);
    const { length } = this.#parents;
    for (const column of this.#folderColumns) column.extend(length - column.length, () => 0);
    return first;
  }

  /**
   * Adds a folder whose id was reserved, and reserves ids for its subfolders. Returns the first of them. Nothing is written: `write`
   * must follow.
   */
  add(id: number, parent: number, record: FolderRecord, disk: boolean): number {
    const path = record.ownName().toString('latin1');
    const name = path.slice(path.lastIndexOf('/') + 1);
    this.#parents.set(id, parent);
    this.#flags.set(id, (isReleasePart(name) ? PART : 0) | (record.marked ? MARKED : 0) | (disk ? DISK : 0));
    this.#nameHashes.set(id, hashName(name));
    this.#byteHashes.set(id, hashText(name));

    const { files, sizes } = record;
    this.#sizes.append(sizes);
    this.#inodes.append(record.inodes);
    this.#devs.extend(files, () => record.fileDev);
    this.#hashes.append(record.hashes);
    this.#folderOf.extend(files, () => id);
    this.#fileOf.extend(files, (i) => i);
    this.#fileFlags.extend(files, (i) => record.fileFlags[i] ?? 0);
    if (record.members > 0) this.#addMembers(id, record);
    if (record.leftOut > 0) this.#leftOut.addNames(id, record);
    this.folders++;
    this.files += files;
    for (let i = 0; i < files; i++) this.bytes += sizes[i] ?? 0;

    const first = this.reserve(record.subfolders);
    this.#firstSubfolders.set(id, first);
    return first;
  }

  /** Writes the record of a folder that was added. */
  write(id: number, { packed }: FolderRecord): void {
    this.#pageOf.set(id, this.#pages);
    this.#offsets.set(id, this.#pageBytes);
    this.#lengths.set(id, packed.byteLength);
    this.#page.push(packed);
    this.#pageBytes += (packed.byteLength + 7) & ~7;
    if (this.#pageBytes >= PAGE_BYTES) this.#endPage();
  }

  #addMembers(id: number, { members, memberSizes, memberHashes, memberFiles, fileFlags }: FolderRecord): void {
    this.#memberSizes.append(memberSizes);
    this.#memberHashes.append(memberHashes);
    this.#memberFolders.extend(members, () => id);
    this.#memberOf.extend(members, (i) => i);
    this.#memberFlags.extend(members, (i) => fileFlags[memberFiles[i] ?? 0] ?? 0);
  }

  /** Resolves when the disk has caught up; the scan waits for it, so that memory stays bounded. */
  async caughtUp(): Promise<void> {
    while (this.#writing.size >= BATCHES_AT_ONCE) await Promise.race(this.#writing);
  }

  /** Writes the rest, which depends on the whole tree. Returns the number of releases. */
  async finish(): Promise<number> {
    this.#endPage();
    const parents = this.#parents.view;
    const flags = this.#flags.view;
    const has = (folder: number, flag: number): boolean => ((flags[folder] ?? 0) & flag) !== 0;
    const releases = releaseRoots({
      count: this.ids,
      parent: (folder) => ((parents[folder] ?? ABSENT) >= ABSENT ? -1 : (parents[folder] ?? -1)),
      marked: (folder) => has(folder, MARKED),
      part: (folder) => has(folder, PART),
      disk: (folder) => has(folder, DISK),
    });
    await this.#putAll(
      tablePuts(this.#generation, this.ids, {
        parent: parents,
        release: Uint32Array.from(releases), // -1 becomes NONE
        firstSubfolder: this.#firstSubfolders.view,
        page: this.#pageOf.view,
        offset: this.#offsets.view,
        length: this.#lengths.view,
      }),
    );

    const sizes = this.#sizes.view;
    const hashes = this.#hashes.view;
    const folder = this.#folderOf.view;
    const file = this.#fileOf.view;
    const fileFlags = this.#fileFlags.view;
    // What is ignored is found by nothing but its inode, or as part of a folder; in a release nothing is ignored.
    // What grows is found by nothing but its inode.
    const inRelease = (id: number | undefined): boolean => (releases[id ?? 0] ?? -1) >= 0;
    const isShown = (flags: number | undefined, id: number | undefined): boolean =>
      flags === 0 || (flags === IGNORED && inRelease(id));
    const shown = (row: number): boolean => isShown(fileFlags[row], folder[row]);
    await this.#putPostings(KIND.bySize, { k1: sizes, k2: hashes, folder, file }, shown);
    await this.#putPostings(KIND.byName, { k1: hashes, k2: sizes, folder, file }, shown);
    const inodes = this.#inodes.view;
    await this.#putPostings(
      KIND.byInode,
      { k1: inodes, k2: this.#devs.view, folder, file },
      (row) => inodes[row] !== 0,
    );

    for (let row = 0; row < fileFlags.length; row++) {
      if (fileFlags[row] === 0 || shown(row)) continue;
      // What grows will have another size.
      const size = ((fileFlags[row] ?? 0) & GROWING) === 0 ? (sizes[row] ?? 0) : NO_SIZE;
      this.#leftOut.addFile(hashes[row] ?? 0, size, folder[row] ?? 0, file[row] ?? 0);
    }
    if (this.#leftOut.count > 0) await this.#putPostings(KIND.leftOut, this.#leftOut.columns, () => true);

    const memberFolders = this.#memberFolders.view;
    const memberFlags = this.#memberFlags.view;
    await this.#putPostings(
      KIND.members,
      {
        k1: this.#memberSizes.view,
        k2: this.#memberHashes.view,
        folder: memberFolders,
        file: this.#memberOf.view,
      },
      (row) => isShown(memberFlags[row], memberFolders[row]),
    );

    const ids = Uint32Array.from({ length: this.ids }, (_, id) => id);
    const zero = new Uint32Array(this.ids);
    const ofFolders = (k1: Uint32Array): PostingColumns => ({ k1, k2: zero, folder: ids, file: zero });
    await this.#putPostings(KIND.releases, ofFolders(this.#nameHashes.view), (id) => releases[id] === id);
    await this.#putPostings(KIND.folderNames, ofFolders(this.#byteHashes.view), (id) => parents[id] !== ABSENT);
    this.#flush();
    await Promise.all(this.#writing);
    return releases.reduce((count, root, id) => (root === id ? count + 1 : count), 0);
  }

  /** Waits for running writes, also for those that fail. */
  async abandon(): Promise<void> {
    this.#batch = [];
    await Promise.allSettled(this.#writing);
  }

  async #putPostings(kind: PostingKind, columns: PostingColumns, holds: (row: number) => boolean): Promise<void> {
    const all = new Uint32Array(columns.k1.length);
    let count = 0;
    for (let row = 0; row < all.length; row++) if (holds(row)) all[count++] = row;
    await pause();
    const rows = await sortedRows(columns, all.subarray(0, count), pause);
    await this.#putAll(postingPuts(this.#generation, kind, columns, rows));
  }

  async #putAll(puts: Iterable<Put>): Promise<void> {
    let made = 0;
    for (const put of puts) {
      this.#put(put);
      if (++made % PUTS_AT_ONCE === 0) await pause();
      if (this.#writing.size >= BATCHES_AT_ONCE) await this.caughtUp();
    }
  }

  #endPage(): void {
    const value = new Uint8Array(this.#pageBytes);
    let offset = 0;
    for (const packed of this.#page) {
      value.set(packed, offset);
      offset += (packed.byteLength + 7) & ~7;
    }
    this.#put({ type: 'put', key: keyOf(this.#generation, KIND.folder, this.#pages++), value });
    this.#page = [];
    this.#pageBytes = 0;
  }

  #put(put: Put): void {
    this.#batch.push(put);
    this.#batchBytes += put.value.byteLength + 32;
    if (this.#batchBytes >= BATCH_BYTES) this.#flush();
  }

  #flush(): void {
    const write = this.#db.write(this.#batch);
    this.#batch = [];
    this.#batchBytes = 0;
    this.#writing.add(write);
    // A failed write stays in the set: whoever waits next is told.
    write.then(
      () => this.#writing.delete(write),
      () => {},
    );
  }
}
