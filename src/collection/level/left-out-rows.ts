/** The rows of what is no candidate, for the question `leftOut`. There are few: what is large is bounded by folder. */
import { hashName } from '../names.ts';
import { type FolderRecord, LEFT_OUT_OF_FOLDER } from '../scan/folder-record.ts';
import { float64Column, uint32Column } from './growing-column.ts';
import type { PostingColumns } from './postings.ts';

/** In place of a size that is not known: no file is as large. */
export const NO_SIZE = Number.MAX_SAFE_INTEGER;

export class LeftOutRows {
  readonly #hashes = uint32Column();
  readonly #sizes = float64Column();
  readonly #folders = uint32Column();
  readonly #positions = uint32Column();
  #folder = -1;
  #ofFolder = 0;

  get count(): number {
    return this.#hashes.length;
  }

  get columns(): PostingColumns {
    return {
      k1: this.#hashes.view,
      k2: this.#sizes.view,
      folder: this.#folders.view,
      file: this.#positions.view,
    };
  }

  /** Adds the names that a record has of what was left out. */
  addNames(folder: number, record: FolderRecord): void {
    for (let i = 0; i < record.leftOut; i++) {
      const hash = hashName(record.leftOutName(i).name.toString('latin1'));
      this.#add(hash, NO_SIZE, folder, record.files + i);
    }
  }

  /** Adds a file that is no candidate. A folder's files come one after the other. */
  addFile(hash: number, size: number, folder: number, position: number): void {
    if (this.#folder !== folder) this.#ofFolder = 0;
    this.#folder = folder;
    if (this.#ofFolder++ < LEFT_OUT_OF_FOLDER) this.#add(hash, size, folder, position);
  }

  #add(hash: number, size: number, folder: number, position: number): void {
    this.#hashes.extend(1, () => hash);
    this.#sizes.extend(1, () => size);
    this.#folders.extend(1, () => folder);
    this.#positions.extend(1, () => position);
  }
}
