/**
 * An open inode: one object for all its handles, so that each sees at once what the others write.
 *
 * It is one of two: a *plain* file is its overlay file; a *mapped* file consists of sources and of what was written
 * over them. A plain file becomes mapped when the pool has taken it (`OpenInode.becomeMapped`).
 *
 * Changes of one file take turns. A change that must wait (for its base, for a record) keeps its turn until it has
 * ended; one that need not wait runs within the call.
 */
import type { SourceFile } from '../source/source-file.ts';
import type { MappedContent, PlainContent } from '../store/overlay/content.ts';
import type { MaybePromise } from './operations.ts';

export interface PlainFile {
  readonly kind: 'plain';
  readonly content: PlainContent;
}

export interface MappedFile {
  readonly kind: 'mapped';
  readonly content: MappedContent;
  /** The file that serves each source, by the source id in the extents; it may be a spare. */
  readonly bound: Map<number, SourceFile>;
}

export type OpenFile = PlainFile | MappedFile;

export function openFileOf(content: PlainContent | MappedContent): OpenFile {
  return content.kind === 'plain' ? { kind: 'plain', content } : { kind: 'mapped', content, bound: new Map() };
}

export class OpenInode {
  readonly ino: number;
  /** Handles, and running operations by inode. */
  users = 0;
  #file: OpenFile;
  #turns = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(file: OpenFile) {
    this.ino = file.content.ino;
    this.#file = file;
  }

  get file(): OpenFile {
    return this.#file;
  }

  /** Runs a change when its turn comes: at once if no other change runs. */
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

  /** Makes a plain file mapped for all its handles. Returns its former content, which the caller releases. */
  becomeMapped(mapped: MappedFile): OpenFile {
    const before = this.#file;
    before.content.loans.recall();
    this.#file = mapped;
    return before;
  }
}
