/**
 * Disks that the user is about to unmount (`autotorrent release`): nothing on them is opened, looked at or listed, as if they were
 * not there.
 *
 * A file system is in use while a path is looked up on it, which no descriptor tells. So calls on paths are counted from before it is
 * asked whether the path is released: whoever has the answer that it is not is waited for.
 */
import { isAtOrBelow } from '../native/mountinfo.ts';
import type { Difference } from './identity.ts';

/** What is said of a path on such a disk. */
export const RELEASED: Difference = {
  code: 'released',
  says: 'lies on a disk that was released: unmount it, and mount it again',
};

export class ReleasedFolders {
  #folders: readonly Buffer[];
  readonly #underWay = new Set<{ readonly path: Buffer }>();

  /** All paths are absolute. */
  constructor(folders: readonly (Uint8Array | string)[] = []) {
    this.#folders = folders.map((folder) => Buffer.from(folder as Uint8Array));
  }

  get folders(): readonly Buffer[] {
    return this.#folders;
  }

  /** Replaces the folders. */
  set(folders: readonly Buffer[]): void {
    this.#folders = folders;
  }

  holds(path: Buffer): boolean {
    return isBelowOneOf(path, this.#folders);
  }

  /** Notes that calls on a path begin. The caller calls what it is given when they have ended. */
  begin(path: Buffer): () => void {
    const call = { path };
    this.#underWay.add(call);
    return () => void this.#underWay.delete(call);
  }

  /** Counts `work`, which makes calls on a path. */
  async during<T>(path: Buffer, work: () => Promise<T>): Promise<T> {
    const end = this.begin(path);
    try {
      return await work();
    } finally {
      end();
    }
  }

  /** How many of the calls that have begun are on paths below these folders. */
  underWay(folders: readonly Buffer[]): number {
    let count = 0;
    for (const { path } of this.#underWay) if (isBelowOneOf(path, folders)) count++;
    return count;
  }
}

function isBelowOneOf(path: Buffer, folders: readonly Buffer[]): boolean {
  return folders.some((folder) => isAtOrBelow(path, folder));
}
