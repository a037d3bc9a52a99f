/**
 * The open sources that nobody uses: they are held for a while, since they may be read again soon. Of a file that is deleted or
 * replaced meanwhile, the descriptor is the only way to the old bytes.
 *
 * Held are so many at most, each for so long at most: a descriptor keeps its disk from being unmounted, and the room of a
 * deleted file from being freed. One that is trusted is closed before one that is doubted, whose bytes may lie nowhere else.
 */
import type { SourceFile } from './source-file.ts';

const MOST = 512;
/** Milliseconds for which a source is held. */
const IDLE_MS = 10 * 60_000;
/** Milliseconds after which files that were being read, as they were to be closed, are looked at again. */
const AGAIN_MS = 1000;

/** How many sources are held, and for how long. Default: 512, for ten minutes. */
export interface Hold {
  readonly most?: number;
  readonly idleMs?: number;
}

/** The hold of a server: `hold_sources`. Tests shorten its time. */
export function holdOf(most: number, env: NodeJS.ProcessEnv): Hold {
  const idle = Number(env['AUTOTORRENT_HOLD_IDLE_MS'] ?? Number.NaN);
  return idle > 0 ? { most, idleMs: idle } : { most };
}

export class HeldSources {
  readonly #most: number;
  readonly #idleMs: number;
  readonly #close: (file: SourceFile) => void;
  /** Since when nobody uses it; `performance.now()`. The one that has been unused the longest comes first. */
  readonly #since = new Map<SourceFile, number>();
  /** One for all files. */
  #timer: NodeJS.Timeout | undefined;
  #counting: NodeJS.Immediate | undefined;

  constructor(close: (file: SourceFile) => void, { most = MOST, idleMs = IDLE_MS }: Hold = {}) {
    this.#most = most;
    this.#idleMs = idleMs;
    this.#close = close;
  }

  get size(): number {
    return this.#since.size;
  }

  /** Holds a file, from now on. */
  add(file: SourceFile): void {
    this.#since.delete(file);
    this.#since.set(file, performance.now());
    // Whoever has asked for it uses it in this turn of the event loop.
    this.#counting ??= setImmediate(() => {
      this.#counting = undefined;
      this.#closeSome();
    }).unref();
  }

  /** It is used again, or closed. */
  remove(file: SourceFile): void {
    this.#since.delete(file);
  }

  close(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#counting);
    [this.#timer, this.#counting] = [undefined, undefined];
    this.#since.clear();
  }

  /** Closes those that are too many, or that were held for long enough. A file that is being read is left for later. */
  #closeSome(): void {
    while (this.#since.size > this.#most) {
      const file = firstToClose(this.#since.keys());
      if (file === undefined) break;
      this.#end(file);
    }
    const due = performance.now() - this.#idleMs;
    for (const [file, since] of this.#since) {
      if (since > due) break;
      if (file.busy === 0) this.#end(file);
    }
    this.#later(due);
  }

  #end(file: SourceFile): void {
    this.#since.delete(file);
    this.#close(file);
  }

  #later(due: number): void {
    const [first] = this.#since.values();
    if (this.#timer !== undefined || first === undefined) return;
    const wait = this.#since.size > this.#most ? AGAIN_MS : Math.max(AGAIN_MS, first - due);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#closeSome();
    }, wait).unref();
  }
}

/**
 * Finds the file that is missed the least, of those that are not being read: one without a user before one that has users, and a
 * trusted one before a doubted one, of which there may be no other copy. Of two the first.
 */
export function firstToClose(files: Iterable<SourceFile>): SourceFile | undefined {
  let found: SourceFile | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const file of files) {
    if (file.busy > 0) continue;
    const worth = (file.doubt > 0 ? 2 : 0) + (file.users > 0 ? 1 : 0);
    if (worth >= least) continue;
    [found, least] = [file, worth];
    if (worth === 0) break;
  }
  return found;
}
