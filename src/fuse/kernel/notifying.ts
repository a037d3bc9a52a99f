/**
 * Notifies the kernel of what it holds and must drop: names, attributes and pages that changed other than through the mount.
 *
 * The kernel takes a notification while it holds a lock of a folder or of a page, for which it may have to wait until this
 * process has answered another request. So a notification is written in a thread of libuv's pool, and one at a time: it keeps
 * one thread at most from answering. What waits is kept once, however often it is reported.
 */

import { errnoOf, messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import type { Stale } from '../../vfs/operations.ts';
import type { Nodes } from './nodes.ts';
import { invalidateEntry, invalidateInode } from './protocol/replies.ts';
import { ENDED } from './request-source.ts';

/** The kernel does not hold what it is to drop. */
const NOT_HELD: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR']);

export class Notifying {
  readonly #nodes: Nodes;
  readonly #write: (message: Buffer) => Promise<void>;
  readonly #logger: Logger;
  readonly #waiting = new Map<string, Stale>();
  #isRunning = false;
  #ended = false;

  /** `write` writes a message in another thread. */
  constructor(nodes: Nodes, write: (message: Buffer) => Promise<void>, logger: Logger) {
    this.#nodes = nodes;
    this.#write = write;
    this.#logger = logger;
  }

  /** Notifies the kernel, if it knows the inode or the folder. Never throws. */
  stale(what: Stale): void {
    if (this.#ended || !this.#nodes.knows('ino' in what ? what.ino : what.parent)) return;
    this.#waiting.set('ino' in what ? `${what.ino}` : `${what.parent}/${what.name}`, what);
    if (!this.#isRunning) void this.#run();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    // After the turn in which the change is made: the kernel may ask at once.
    await Promise.resolve();
    for (const [key, what] of this.#waiting) {
      this.#waiting.delete(key);
      if (this.#ended) break;
      for (const message of this.#messages(what)) await this.#send(message);
    }
    this.#isRunning = false;
  }

  #messages(what: Stale): Buffer[] {
    if ('ino' in what) return [...this.#nodes.nodesOf(what.ino)].map((node) => invalidateInode(node, 0, 0));
    return [...this.#nodes.nodesOf(what.parent)].map((node) => invalidateEntry(node, what.name));
  }

  async #send(message: Buffer): Promise<void> {
    try {
      await this.#write(message);
    } catch (error) {
      const code = errnoOf(error) ?? '';
      if (NOT_HELD.has(code) || ENDED.has(code)) return;
      this.#logger.warn(`the kernel refused to drop what it has cached: ${messageOf(error)}`);
    }
  }

  /** Nothing is written any more. */
  end(): void {
    this.#ended = true;
  }
}
