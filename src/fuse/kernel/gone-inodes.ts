/**
 * Inodes that the vfs has deleted, and that programs still hold otherwise than open: by a descriptor of O_PATH, or as their
 * working folder. The vfs keeps only what is open. A local file system keeps these, too, and shows them without a link; so the
 * kernel is told their last attributes until it forgets them.
 *
 * Not as on a local file system: such a file cannot be opened any more (by a program that held it by O_PATH).
 */
import { PosixError } from '../../errors.ts';
import { fromMilliseconds } from '../../native/timestamp.ts';
import type { Attributes, MaybePromise, Operations } from '../../vfs/operations.ts';
import type { Nodes } from './nodes.ts';

/** The handle of every directory that has gone: the kernel itself finds no names in it. Larger than any of the vfs. */
export const GONE_DIRECTORY = 2 ** 40;

export class GoneInodes {
  readonly #operations: Pick<Operations, 'lookup' | 'getattr'>;
  readonly #nodes: Nodes;
  readonly #gone = new Map<number, Attributes>();

  constructor(operations: Pick<Operations, 'lookup' | 'getattr'>, nodes: Nodes) {
    this.#operations = operations;
    this.#nodes = nodes;
  }

  /** Runs `work`, which may take a name from its inode. */
  async watch(parent: number, name: string, work: () => MaybePromise<void>): Promise<void> {
    const before = await this.#found(async () => await this.#operations.lookup(parent, name));
    await work();
    if (before === undefined || !this.#nodes.knows(before.ino)) return;
    if ((await this.#found(async () => await this.#operations.getattr(before.ino))) !== undefined) return;
    this.#gone.set(before.ino, { ...before, nlink: 0, ctime: fromMilliseconds(Date.now()) });
    // Forgotten meanwhile.
    if (!this.#nodes.knows(before.ino)) this.#gone.delete(before.ino);
  }

  async #found(look: () => Promise<Attributes>): Promise<Attributes | undefined> {
    try {
      return await look();
    } catch (error) {
      if (error instanceof PosixError) return undefined;
      throw error;
    }
  }

  /** @throws as `Operations.getattr` */
  getattr(ino: number): MaybePromise<Attributes> {
    return this.#gone.get(ino) ?? this.#operations.getattr(ino);
  }

  isDirectory(ino: number): boolean {
    return this.#gone.get(ino)?.type === 'directory';
  }

  forget(ino: number): void {
    this.#gone.delete(ino);
  }
}
