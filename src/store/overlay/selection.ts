/** Selects the files of an entry that a command means: by paths of files and folders below the entry's folder. */
import { AutotorrentError } from '../../errors.ts';
import type { Difference } from './differences.ts';

/** Selects the files that have no name. */
export const DELETED: Pick<Selection, 'takes' | 'refuseUnused'> = {
  takes: ({ changes }) => changes.includes('deleted'),
  refuseUnused() {},
};

export class Selection {
  /** Without a slash at the end. */
  readonly #paths: readonly string[];
  readonly #unused: Set<string>;

  constructor(paths: readonly string[]) {
    this.#paths = paths.map((path) => path.replace(/^(?:\.?\/)+/, '').replace(/\/+$/, ''));
    this.#unused = new Set(this.#paths);
  }

  takes({ path, strays }: Difference): boolean {
    const names = [path, ...strays.map((stray) => stray.path)].map((name) => name.join('/'));
    const meant = this.#paths.filter((wanted) =>
      names.some((name) => wanted === '' || name === wanted || name.startsWith(`${wanted}/`)),
    );
    for (const wanted of meant) this.#unused.delete(wanted);
    return meant.length > 0;
  }

  /** @throws AutotorrentError('NOT_FOUND') for a path that selected nothing */
  refuseUnused(): void {
    const [first] = this.#unused;
    if (first === undefined) return;
    throw new AutotorrentError('NOT_FOUND', `nothing of the entry differs at ${JSON.stringify(first)}`, {
      hint: 'autotorrent overlay diff shows what differs, under the names to use here',
    });
  }
}
