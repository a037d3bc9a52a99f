/**
 * An inode that is open: one for all its handles, so that each sees at once what the others write.
 *
 * What it is made of is one of two: a *plain* file is its overlay file; a *mapped* file is made of sources, and of what was
 * written over them. A plain file becomes a mapped one when the pool has taken it (`OpenInode.becomeMapped`).
 *
 * Changes of one file take turns. One that needs to wait (for its base, for a record) holds its turn until it has ended;
 * the others, which need not wait, run in the call that asks for them.
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
  /** By source id as the extents name it: the file that serves it, which may be a spare. */
  readonly bound: Map<number, SourceFile>;
}

export type OpenFile = PlainFile | MappedFile;

export function openFileOf(content: PlainContent | MappedContent): OpenFile {
  return content.kind === 'plain' ? { kind: 'plain', content } : { kind: 'mapped', content, bound: new Map() };
}

export class OpenInode {
  readonly ino: number;
  /** Handles, and operations by inode that are under way. */
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

  /** A plain file is a mapped one from now on, for all its handles. Gives what it was, which is to be released. */
  becomeMapped(mapped: MappedFile): OpenFile {
    const before = this.#file;
    this.#file = mapped;
    return before;
  }
}
