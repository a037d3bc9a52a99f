/**
 * A file that is open: one for all handles of an inode, so that each sees what the others write at once.
 *
 * Changes of one file take turns. One that needs to wait (for its base, for a record) holds its turn until it has ended;
 * the others, which need not wait, run in the call that asks for them.
 */

import type { SourceFile } from '../source/source-file.ts';
import type { Content } from '../store/overlay/content.ts';
import type { MaybePromise } from './operations.ts';

export class OpenFile {
  readonly ino: number;
  /** Undefined: a plain file. */
  content: Content | undefined;
  /** Of a plain file: its overlay file. */
  descriptor: number | undefined;
  /** Handles, and operations by inode that are under way. */
  users = 0;
  /** By source id as the extents name it: the file that serves it, which may be a spare. */
  readonly bound = new Map<number, SourceFile>();
  /** Of a file that was plain before: reads of it may be under way. */
  #retired: number | undefined;
  #turns = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(ino: number, content: Content | undefined, descriptor: number | undefined) {
    this.ino = ino;
    this.content = content;
    this.descriptor = descriptor;
  }

  /** Runs a change when it is its turn: at once, where nobody has it. */
  inTurn<T>(work: () => MaybePromise<T>): MaybePromise<T> {
    const result: MaybePromise<T> = this.#turns === 0 ? work() : this.#last.then(work);
    if (!(result instanceof Promise)) return result;
    this.#turns++;
    this.#last = result.then(
      () => this.#turns--,
      () => this.#turns--,
    );
    return result;
  }

  /** A plain file that has become a mapped one. */
  becomeMapped(content: Content): void {
    this.#retired = this.descriptor;
    this.descriptor = undefined;
    this.content = content;
  }

  /** For whoever closes them: nobody uses it any more. */
  takeDescriptors(): number[] {
    const taken = [this.descriptor, this.#retired].filter((fd) => fd !== undefined);
    this.descriptor = undefined;
    this.#retired = undefined;
    return taken;
  }
}
