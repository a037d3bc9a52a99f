/** Tells who may go through all folders above a file, by their modes and access control lists. */
import type { LookCalls } from './look-calls.ts';
import { bothOf, grantedTo, type Readers, SEARCH } from './readers.ts';

/** Milliseconds for which a look at a folder is believed. */
const FRESH_MS = 1000;
/** Looks remembered at most. All are forgotten when there are more. */
const LIMIT = 10_000;
const SLASH = 0x2f;

/** A look at a folder, or at a folder and all above it. */
interface Looked {
  /** When; of several looks, that of the oldest. */
  readonly at: number;
  readonly passers: Readers;
}

interface Looking {
  readonly at: number;
  readonly look: Promise<Looked>;
}

export class Ways {
  readonly #calls: LookCalls;
  /** By path, each byte a character: folders alone, and folders with all above them, whose paths may have symlinks. */
  readonly #folders = new Map<string, Looking>();
  readonly #ways = new Map<string, Looking>();

  constructor(calls: LookCalls) {
    this.#calls = calls;
  }

  /** Who may go through all folders above the file at `path`. @throws file errors of the disk */
  async above(path: Buffer): Promise<Readers> {
    // The kernel writes `(unreachable)` before the path of a file that lies outside of our root.
    if (path[0] !== SLASH) return 'nobody';
    const folder = path.toString('latin1', 0, path.lastIndexOf(SLASH));
    return (await believed(this.#ways, folder, async () => await this.#lookAtAll(folder))).passers;
  }

  async #lookAtAll(folder: string): Promise<Looked> {
    const real = await this.#calls.realpath(Buffer.from(`${folder}/`, 'latin1'));
    const path = real.toString('latin1');
    const looks = [this.#look('/')];
    for (let end = path.length; end > 1; end = path.lastIndexOf('/', end - 1))
      looks.push(this.#look(path.slice(0, end)));
    return (await Promise.all(looks)).reduce((one, other) => ({
      at: Math.min(one.at, other.at),
      passers: bothOf(one.passers, other.passers),
    }));
  }

  async #look(path: string): Promise<Looked> {
    return await believed(this.#folders, path, async () => {
      const at = performance.now();
      const bytes = Buffer.from(path, 'latin1');
      const stats = await this.#calls.stat(bytes);
      const byMode = grantedTo(stats, SEARCH);
      if (byMode === 'nobody' || this.#calls.accessList === undefined) return { at, passers: byMode };
      return { at, passers: grantedTo(stats, SEARCH, await this.#calls.accessList(bytes)) };
    });
  }
}

/** Gives the look at `path` that `looks` has, if it is young enough, or a new one. A failure is not believed. */
async function believed(looks: Map<string, Looking>, path: string, work: () => Promise<Looked>): Promise<Looked> {
  const known = looks.get(path);
  if (known !== undefined && performance.now() - known.at < FRESH_MS) {
    const looked = await known.look;
    if (performance.now() - looked.at < FRESH_MS) return looked;
  }
  if (looks.size >= LIMIT) looks.clear();
  const looking: Looking = { at: performance.now(), look: work() };
  looks.set(path, looking);
  try {
    return await looking.look;
  } catch (error) {
    if (looks.get(path) === looking) looks.delete(path);
    throw error;
  }
}
