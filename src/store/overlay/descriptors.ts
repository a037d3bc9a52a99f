/**
 * The descriptors of overlay files: opened when they are needed, and closed again when too many files are open.
 *
 * Clients hold thousands of files open and use few of them at a time. An overlay file keeps its path for as long as its
 * inode has one, so a closed descriptor can be opened again at any time. One whose path is about to go is pinned first.
 */
import fs from 'node:fs';
import type { DescriptorBudget, DescriptorShare } from '../../native/descriptor-budget.ts';
import type { OverlayFiles } from './overlay-files.ts';

export class Descriptors {
  readonly #files: OverlayFiles;
  readonly #share: DescriptorShare;
  /** Open, in the order of use, the longest unused first. Pinned ones are not among them. */
  readonly #open = new Set<OverlayFile>();
  #newest: OverlayFile | undefined;

  constructor(files: OverlayFiles, budget: DescriptorBudget) {
    this.#files = files;
    this.#share = budget.share(() => this.#closeIdle());
  }

  /** The overlay file of an inode, which is opened when it is needed. */
  of(ino: number): OverlayFile {
    return new OverlayFile(this, ino, undefined);
  }

  /** A new, empty overlay file. @throws what the disk says */
  create(ino: number): OverlayFile {
    return new OverlayFile(
      this,
      ino,
      this.#share.openSync(() => this.#files.create(ino)),
    );
  }

  /** @throws what the disk says */
  open(ino: number): number {
    return this.#share.openSync(() => this.#files.open(ino));
  }

  close(file: OverlayFile, fd: number): void {
    fs.closeSync(fd);
    this.#share.closed();
    this.forget(file);
  }

  used(file: OverlayFile): void {
    if (file === this.#newest) return;
    this.#newest = file;
    this.#open.delete(file);
    this.#open.add(file);
  }

  /** It is not to be closed for others any more. */
  forget(file: OverlayFile): void {
    this.#open.delete(file);
    if (this.#newest === file) this.#newest = undefined;
  }

  #closeIdle(): boolean {
    for (const file of this.#open) if (file.rest()) return true;
    return false;
  }
}

export class OverlayFile {
  readonly ino: number;
  readonly #descriptors: Descriptors;
  #fd: number | undefined;
  /** Calls that threads are at. */
  #busy = 0;
  #pinned = false;
  #closed = false;

  constructor(descriptors: Descriptors, ino: number, fd: number | undefined) {
    this.#descriptors = descriptors;
    this.ino = ino;
    this.#fd = fd;
    if (fd !== undefined) descriptors.used(this);
  }

  /** The descriptor. It may be closed as soon as another call runs. @throws what the disk says */
  get fd(): number {
    this.#fd ??= this.#descriptors.open(this.ino);
    if (!this.#pinned) this.#descriptors.used(this);
    return this.#fd;
  }

  /** The descriptor where it is open; else its path leads to it. */
  get openFd(): number | undefined {
    return this.#fd;
  }

  /** Runs `work` with the descriptor, which stays open until it has ended. @throws what the disk says */
  async during<T>(work: (fd: number) => Promise<T>): Promise<T> {
    const { fd } = this;
    this.#busy++;
    try {
      return await work(fd);
    } finally {
      this.#busy--;
      if (this.#closed) this.rest();
    }
  }

  /** Opens it for as long as it is used: its path is about to go. @throws what the disk says */
  pin(): void {
    if (this.#closed) return;
    void this.fd;
    this.#pinned = true;
    this.#descriptors.forget(this);
  }

  /** Closes the descriptor, which the next use opens again. False where there is none, or something is using it. */
  rest(): boolean {
    const fd = this.#fd;
    if (fd === undefined || this.#busy > 0 || (this.#pinned && !this.#closed)) return false;
    this.#fd = undefined;
    this.#descriptors.close(this, fd);
    return true;
  }

  /** Nobody uses it any more, but calls that are under way. */
  close(): void {
    this.#closed = true;
    this.rest();
  }
}
