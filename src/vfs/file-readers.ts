/**
 * Tells who may read each file beside its owner: those who may read all of its sources.
 *
 * The sources are those of the plan, also where a client has written over them since: its writes may have kept parts of
 * blocks. What others may read is recorded with each source, so that listings touch no disk. Each open looks again.
 *
 * The kernel checks the permission of an open by attributes that it may have had for `ATTRIBUTES_MS`. So when a source
 * turns out to have lost readers, an open that may have been let through by old attributes is answered with ESTALE: the
 * kernel then looks the name up and decides anew (`do_filp_open` tries once more, with LOOKUP_REVAL).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, PosixError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { ReadersLook } from '../source/look-at-readers.ts';
import { bothOf, isNarrower, type Readers } from '../source/readers.ts';
import type { ReadersChange } from '../store/notices.ts';
import type { Inode } from '../store/records/record.ts';
import type { Store } from '../store/store.ts';
import { ATTRIBUTES_MS } from './operations.ts';

/** Milliseconds after a loss in which the kernel may decide by old attributes; some for the way of the request to us. */
const STALE_MS = ATTRIBUTES_MS + 250;
/** Milliseconds for which a look at the sources that an open does not open is believed. */
const FRESH_MS = 1000;
/** Files remembered at most in each table. All are forgotten when it is full, which costs a look-up more. */
const LIMIT = 100_000;

interface Known {
  readonly version: number;
  readonly readers: Readers;
}

export class FileReaders {
  readonly #store: Store;
  readonly #look: ReadersLook;
  readonly #logger: Logger;
  readonly #unwatch: () => void;
  /** A changed inode is another object. */
  readonly #known = new WeakMap<Inode, Known>();
  /** Rises with each change of a source's readers. */
  #version = 0;
  /** When sources lost readers, by their ids; only the losses of the last `STALE_MS`. */
  readonly #losses = new Map<number, number>();
  #lastLoss = Number.NEGATIVE_INFINITY;
  /** When files were shown last, by their inodes, while there are losses. */
  readonly #shownAt = new Map<number, number>();
  readonly #lookedAt = new Map<number, number>();
  #closed = false;
  #asked = false;
  #looking: Promise<void> | undefined;

  constructor(store: Store, look: ReadersLook, logger: Logger) {
    this.#store = store;
    this.#logger = logger;
    this.#look = look;
    this.#unwatch = store.watch({ readersChanged: (change) => this.#changed(change) });
  }

  #changed({ source, before, now }: ReadersChange): void {
    this.#version++;
    if (!isNarrower(now, before)) return;
    this.#lastLoss = performance.now();
    this.#losses.set(source, this.#lastLoss);
  }

  /** Tells who may read a file that is about to be shown. */
  shown(ino: number, inode: Inode): Readers {
    if (this.#losses.size > 0) this.#noteShown(ino);
    return this.#of(ino, inode);
  }

  #of(ino: number, inode: Inode): Readers {
    if (inode.content === 'plain') return 'everyone';
    const known = this.#known.get(inode);
    if (known?.version === this.#version) return known.readers;
    let readers: Readers = 'everyone';
    for (const source of this.#store.sourcesOf(ino)) {
      readers = bothOf(readers, this.#store.readers(source) ?? 'nobody');
      if (readers === 'nobody') break;
    }
    this.#known.set(inode, { version: this.#version, readers });
    return readers;
  }

  #noteShown(ino: number): void {
    const now = performance.now();
    if (now - this.#lastLoss > STALE_MS) {
      this.#losses.clear();
      this.#shownAt.clear();
      return;
    }
    if (this.#shownAt.size >= LIMIT) this.#shownAt.clear();
    this.#shownAt.set(ino, now);
  }

  /** Looks at those sources of a file that are not `opened`. A file that is for nobody has nothing to lose. */
  async lookAtOthers(ino: number, opened: ReadonlySet<number>): Promise<void> {
    const inode = this.#store.inode(ino);
    if (inode === undefined || this.#of(ino, inode) === 'nobody') return;
    const others = [...this.#store.sourcesOf(ino)].filter((id) => !opened.has(id));
    if (others.length === 0 || performance.now() - (this.#lookedAt.get(ino) ?? -FRESH_MS) < FRESH_MS) return;
    if (this.#lookedAt.size >= LIMIT) this.#lookedAt.clear();
    const now = performance.now();
    await Promise.all(others.map(async (id) => await this.#lookAt(id)));
    this.#lookedAt.set(ino, now);
  }

  async #lookAt(id: number, path = this.#store.source(id)?.path): Promise<void> {
    const readers = path === undefined ? undefined : await this.#look.atPath(path);
    if (readers !== undefined && !this.#closed) this.#store.noteReaders(id, readers);
  }

  /** Refuses an open that the kernel may have let through by attributes from before a loss. @throws ESTALE */
  async refuseStale(ino: number): Promise<void> {
    const lost = this.#lostAt(ino);
    if (lost === undefined) return;
    // libfuse 2 has an inode for each name, so that the kernel may know the loss by one name and not by another.
    if ((this.#store.inode(ino)?.nlink ?? 1) > 1) await sleep(Math.max(0, lost + STALE_MS - performance.now()));
    else if ((this.#shownAt.get(ino) ?? Number.NEGATIVE_INFINITY) >= lost) return;
    throw new PosixError('ESTALE', 'others may no longer read a source of it');
  }

  /** The time of the last loss among a file's sources that the kernel may not know of. */
  #lostAt(ino: number): number | undefined {
    if (performance.now() - this.#lastLoss > STALE_MS) return undefined;
    let last: number | undefined;
    for (const source of this.#store.sourcesOf(ino)) {
      const at = this.#losses.get(source);
      if (at !== undefined && performance.now() - at <= STALE_MS) last = Math.max(last ?? at, at);
    }
    return last;
  }

  /**
   * Looks at all sources that are not known to be for everyone, one after another; once more if it is asked for
   * meanwhile. Never rejects.
   */
  async lookAgain(): Promise<void> {
    this.#asked = true;
    this.#looking ??= this.#lookAsOftenAsAsked().finally(() => {
      this.#looking = undefined;
    });
    await this.#looking;
  }

  async #lookAsOftenAsAsked(): Promise<void> {
    while (this.#asked && !this.#closed) {
      this.#asked = false;
      await this.#lookAtAll();
    }
  }

  async #lookAtAll(): Promise<void> {
    try {
      for await (const page of this.#store.sources()) {
        for (const { id, path } of page) {
          if (this.#closed) return;
          if (this.#store.readers(id) !== 'everyone') await this.#lookAt(id, path);
        }
      }
    } catch (error) {
      if (this.#closed) return;
      this.#logger.warn(`others may not see all files until the next start: ${messageOf(error)}`);
    }
  }

  close(): void {
    this.#closed = true;
    this.#unwatch();
  }
}
