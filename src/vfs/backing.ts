/**
 * Lends open files to the kernel: those whose bytes are one whole file that is trusted (`Operations.backing`).
 *
 * A lent file is read by the kernel without a look after each read. So it must be one that nobody changes unnoticed: a file of our
 * own (of the pool, kept, a pin), or a source with a lease. Before the first byte of a leased source changes, the vfs hears of the
 * writer. From then on no handle gets it, and who has it reads on from it: that is the one exception to "no wrong byte is served as
 * right" (`docs/sources.md`, "Files that the kernel reads itself"). So it is found out whether something was written, and `onChanged`
 * is called with the files that are read so. The same holds for a file of which a piece turned out to be wrong.
 *
 * The descriptor of a leased source stays open while it is lent, since its lease ends with it. So only half of the budget of
 * descriptors is lent.
 */
import { fstatSync } from 'node:fs';
import { messageOf } from '../errors.ts';
import type { Extent } from '../extent/extent.ts';
import type { Logger } from '../logger.ts';
import { type FileIdentity, identityOf, isSame } from '../source/identity.ts';
import type { Writers } from '../source/leased-sources.ts';
import type { SourceFiles } from '../source/served-sources.ts';
import type { SourceFile } from '../source/source-file.ts';
import type { MappedContent } from '../store/overlay/content.ts';
import type { Store } from '../store/store.ts';
import { within } from '../within.ts';
import type { Handles } from './handles.ts';
import type { OpenInode } from './open-file.ts';
import type { Backing, BackingAbility, MaybePromise } from './operations.ts';
import type { Proving } from './proving/proving.ts';

/** Milliseconds for which an open waits for the lease of its source. */
const LEASE_MS = 200;
/** Milliseconds between looks at files that somebody may have written to. */
const LOOK_MS = 1000;

export interface BackingsOptions {
  readonly store: Pick<Store, 'living'>;
  readonly sources: Pick<SourceFiles, 'isLeased' | 'leaseAnswered' | 'isBroken' | 'isPin'>;
  readonly proving: Pick<Proving, 'isProven'>;
  readonly handles: Pick<Handles, 'file'>;
  /** `safe`: only files of our own. */
  readonly passthrough: 'auto' | 'safe';
  /** Leased sources that may be lent at once. */
  readonly mostLeased: number;
  /** Called with the inodes of files that are read from a file that has other bytes by now: once for each. */
  readonly onChanged?: ((inodes: readonly number[]) => void) | undefined;
  readonly logger: Logger;
}

/** How many files are read by the kernel itself, and how many of them from a file that has other bytes by now. */
export interface BackingCounts {
  readonly files: number;
  readonly changed: number;
}

/** A source that has all bytes of an open file. */
interface Whole {
  readonly source: SourceFile;
  readonly extent: Extent;
  readonly content: MappedContent;
}

/** A file that is lent. */
interface Lent {
  readonly kind: Backing['kind'];
  /** The handles that it is lent to, and their inodes. */
  readonly handles: Map<number, number>;
  /** What it was when the first writer came that may have changed it. */
  before: FileIdentity | undefined;
  /** It has not the bytes any more that it was lent for. */
  changed: boolean;
}

export class Backings implements BackingAbility, Writers {
  readonly #options: BackingsOptions;
  readonly #lent = new Map<SourceFile, Lent>();
  readonly #files = new Map<number, SourceFile>();
  #looking: NodeJS.Timeout | undefined;

  constructor(options: BackingsOptions) {
    this.#options = options;
  }

  get counts(): BackingCounts {
    const [files, changed] = [new Set<number>(), new Set<number>()];
    for (const lent of this.#lent.values()) {
      for (const ino of lent.handles.values()) {
        files.add(ino);
        if (lent.changed) changed.add(ino);
      }
    }
    return { files: files.size, changed: changed.size };
  }

  lend<T>(handle: number, take: (backing: Backing) => T | undefined): MaybePromise<T | undefined> {
    const { open, readsOnly } = this.#options.handles.file(handle);
    const whole = readsOnly ? wholeOf(open) : undefined;
    if (whole === undefined) return undefined;
    const answered = this.#options.sources.leaseAnswered(whole.source);
    if (answered === undefined) return this.#lend(handle, open, take);
    return within(LEASE_MS, answered).then(() => this.#lend(handle, open, take));
  }

  #lend<T>(handle: number, open: OpenInode, take: (backing: Backing) => T | undefined): T | undefined {
    // It may have been released while it waited, or written over.
    if (this.#options.handles.file(handle).open !== open) return undefined;
    const whole = wholeOf(open);
    const kind = whole && this.#kindOf(whole);
    if (whole === undefined || kind === undefined) return undefined;
    const { source } = whole;
    const taken = take({ fd: source.fd, kind, file: source, dev: source.identity.dev });
    if (taken === undefined) return undefined;
    const known = this.#lent.get(source);
    const lent = known ?? { kind, handles: new Map<number, number>(), before: undefined, changed: false };
    this.#lent.set(source, lent);
    lent.handles.set(handle, open.ino);
    this.#files.set(handle, source);
    // Its lease ends with its descriptor.
    if (known === undefined && kind === 'leased') source.begin();
    return taken;
  }

  giveBack(handle: number): void {
    const source = this.#files.get(handle);
    const lent = source && this.#lent.get(source);
    if (source === undefined || lent === undefined) return;
    this.#files.delete(handle);
    lent.handles.delete(handle);
    if (lent.handles.size > 0) return;
    this.#lent.delete(source);
    if (lent.kind === 'leased') source.done();
  }

  /** Somebody may write to a file from now on. It is looked at before he can. */
  come(source: SourceFile): void {
    const lent = this.#lent.get(source);
    if (lent === undefined || lent.before !== undefined || lent.changed) return;
    try {
      lent.before = identityOf(fstatSync(source.fd, { bigint: true }));
      // The kernel lets writers go on where this process was stopped. A rename changes the ctime alone.
      const { size, mtimeNs } = source.standing;
      if (lent.before.size !== size || lent.before.mtimeNs !== mtimeNs) this.#noteChanged([lent]);
    } catch (error) {
      this.#options.logger.warn(`${source.record.path.toString()} cannot be looked at: ${messageOf(error)}`);
      this.#noteChanged([lent]);
      return;
    }
    this.#lookSoon();
  }

  /** Whoever came has changed nothing. */
  gone(source: SourceFile): void {
    const lent = this.#lent.get(source);
    if (lent !== undefined) lent.before = undefined;
  }

  /** Pieces of a source do not have the bytes that they should have. */
  failed(id: number): void {
    this.#noteChanged([...this.#lent].flatMap(([source, lent]) => (source.id === id ? [lent] : [])));
  }

  #lookSoon(): void {
    this.#looking ??= setTimeout(() => {
      this.#looking = undefined;
      this.#look();
    }, LOOK_MS).unref();
  }

  /** Looks at files that somebody may have written to: a program that writes by mmap changes their times when it ends. */
  #look(): void {
    const changed: Lent[] = [];
    let left = false;
    for (const [source, lent] of this.#lent) {
      const { before } = lent;
      if (before === undefined || lent.changed) continue;
      // Leases are taken on local file systems alone, where a look takes a microsecond.
      if (isSame(before, identityOf(fstatSync(source.fd, { bigint: true })))) left = true;
      else changed.push(lent);
    }
    this.#noteChanged(changed);
    if (left) this.#lookSoon();
  }

  #noteChanged(all: readonly Lent[]): void {
    const inodes = new Set<number>();
    for (const lent of all) {
      if (lent.changed) continue;
      lent.changed = true;
      for (const ino of lent.handles.values()) inodes.add(ino);
    }
    if (inodes.size > 0) this.#options.onChanged?.([...inodes]);
  }

  /** Nothing is lent any more. */
  close(): void {
    clearTimeout(this.#looking);
    for (const handle of this.#files.keys()) this.giveBack(handle);
  }

  #kindOf(whole: Whole): Backing['kind'] | undefined {
    const { source } = whole;
    if (!this.#isTrusted(whole) || !source.isStill(source.standing)) return undefined;
    const ours = this.#oursOf(source);
    if (ours !== undefined || this.#options.passthrough === 'safe') return ours;
    // A lease that is held before the look, and still after it.
    if (!this.#options.sources.isLeased(source)) return undefined;
    return this.#lent.has(source) || this.#leased < this.#options.mostLeased ? 'leased' : undefined;
  }

  get #leased(): number {
    let leased = 0;
    for (const { kind } of this.#lent.values()) if (kind === 'leased') leased++;
    return leased;
  }

  /** Tells of which kind a file of our own is; undefined: it is a user's. */
  #oursOf({ record: { path } }: SourceFile): Exclude<Backing['kind'], 'leased'> | undefined {
    const { living } = this.#options.store;
    if (living.isPooled(path)) return 'pool';
    if (living.isPin(path)) return 'pin';
    return living.isKept(path) ? 'kept' : undefined;
  }

  #isTrusted({ source, extent, content }: Whole): boolean {
    const { store, sources, proving } = this.#options;
    const id = extent.source;
    if (sources.isBroken(id) || sources.isBroken(source.id)) return false;
    // A pin has the bytes that its source had: what becomes of that does not matter.
    if (source.id !== id && (!sources.isPin(source) || store.living.condition(id)?.failed === true)) return false;
    if (store.living.condition(source.id) !== undefined) return false;
    // Every piece is hashed at its first read.
    return source.doubt === 0 || (source.id === id && proving.isProven({ content, extent, doubt: source.doubt }));
  }
}

/** Finds the one source that has all bytes of an open file, if there is one. */
function wholeOf({ file }: OpenInode): Whole | undefined {
  if (file.kind !== 'mapped') return undefined;
  const { content } = file;
  if (!isAsPlanned(content)) return undefined;
  const [extent, more] = content.extents.slice(0, content.size);
  if (extent === undefined || more !== undefined || extent.source < 0 || extent.sourceOffset !== 0) return undefined;
  const source = file.bound.get(extent.source);
  if (source === undefined || source.closed || source.difference !== undefined) return undefined;
  // The kernel reads to the end of the file, whatever size we show.
  if (source.record.size !== content.size || source.identity.size !== content.size) return undefined;
  return { source, extent, content };
}

/** Tells if nothing was written over a file, and nothing is being written. */
function isAsPlanned({ overlay, overlaid, blocks, size, baseEnd, extents, beingWritten }: MappedContent): boolean {
  const isWritten = overlay !== undefined || overlaid || !blocks.isEmpty || beingWritten > 0;
  return !isWritten && size === baseEnd && size === extents.length;
}
