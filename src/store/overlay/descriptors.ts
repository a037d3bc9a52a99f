/**
 * The descriptors of overlay files: opened on demand, and closed again when too many files are open.
 *
 * Clients hold thousands of files open and use few of them at a time. An overlay file keeps its path for as long as its
 * inode has one, so a closed descriptor can be opened again at any time. A file whose path is about to go is pinned
 * first.
 */
import fs from 'node:fs';
import type { DescriptorBudget, DescriptorShare } from '../../native/descriptor-budget.ts';
import { Loans } from '../../source/loans.ts';
import type { OverlayFiles } from './overlay-files.ts';

export class Descriptors {
  readonly #files: OverlayFiles;
  readonly #share: DescriptorShare;
  /** The open files, the longest unused first. Pinned ones are not among them. */
  readonly #open = new Set<OverlayFile>();
  #newest: OverlayFile | undefined;

  constructor(files: OverlayFiles, budget: DescriptorBudget) {
    this.#files = files;
    this.#share = budget.share(() => this.#closeIdle());
  }

  /** Returns the overlay file of an inode, which is opened on demand. */
  of(ino: number): OverlayFile {
    return new OverlayFile(this, ino, undefined);
  }

  /** Makes a new, empty overlay file. @throws file errors of the disk */
  create(ino: number): OverlayFile {
    return new OverlayFile(
      this,
      ino,
      this.#share.openSync(() => this.#files.create(ino)),
    );
  }

  /** @throws file errors of the disk */
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

  /** Excludes a file from those that are closed for others. */
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
  /** Threads that read the descriptor while it is open. */
  readonly loans = new Loans();
  readonly #descriptors: Descriptors;
  #fd: number | undefined;
  /** Calls that threads are running. */
  #busy = 0;
  #pinned = false;
  #closed = false;

  constructor(descriptors: Descriptors, ino: number, fd: number | undefined) {
    this.#descriptors = descriptors;
    this.ino = ino;
    this.#fd = fd;
    if (fd !== undefined) descriptors.used(this);
  }

  /** The descriptor. Any further call may close it. @throws file errors of the disk */
  get fd(): number {
    this.#fd ??= this.#descriptors.open(this.ino);
    if (!this.#pinned) this.#descriptors.used(this);
    return this.#fd;
  }

  /** The descriptor if it is open; otherwise the path leads to the file. */
  get openFd(): number | undefined {
    return this.#fd;
  }

  /** Runs `work` with the descriptor, which stays open until it has ended. @throws file errors of the disk */
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

  /** Opens the file for as long as it is used, since its path is about to go. @throws file errors of the disk */
  pin(): void {
    if (this.#closed) return;
    void this.fd;
    this.#pinned = true;
    this.#descriptors.forget(this);
  }

  /** Closes the descriptor; the next use opens it again. False if there is none, or it is in use. */
  rest(): boolean {
    const fd = this.#fd;
    if (fd === undefined || this.#busy > 0 || (this.#pinned && !this.#closed)) return false;
    this.#fd = undefined;
    this.loans.recall();
    this.#descriptors.close(this, fd);
    return true;
  }

  /** Closes the file once running calls have ended; it has no other users. */
  close(): void {
    this.#closed = true;
    this.rest();
  }
}
