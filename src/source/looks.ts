/** Looks at open sources, which tell if they are still what they were. */
import { fstatSync } from 'node:fs';
import { type StatxCalls, type StatxWords, statxWords } from '../native/statx.ts';
import { type FileIdentity, identityOf, isSame, notRegular } from './identity.ts';

export class Looks {
  readonly #statx: StatxCalls | undefined;
  /** What the kernel has to answer for an identity: made with the first look. */
  readonly #words = new WeakMap<FileIdentity, StatxWords>();

  /** `statx`: absent where there is none; then a look takes some times longer. */
  constructor(statx?: StatxCalls) {
    this.#statx = statx;
  }

  /**
   * Tells if an open file is regular, and its size, mtime and ctime are those of an identity that was found earlier. An
   * unknown ctime may be any. Synchronous: only for files of local file systems. False also if the look fails.
   */
  sameAs(fd: number, identity: FileIdentity): boolean {
    return this.#statx === undefined ? sameByFstat(fd, identity) : this.#statx.isStill(fd, this.#wordsOf(identity));
  }

  /**
   * Tells if an open file is the very one that was found, device and inode included, in the same state: the bytes on its disk, in
   * blocks of 512. Undefined if it is not, and where there is no cheap look.
   */
  blocksOf(fd: number, found: FileIdentity): number | undefined {
    return this.#statx?.blocksOf(fd, found.dev, found.ino, this.#wordsOf(found));
  }

  #wordsOf(identity: FileIdentity): StatxWords {
    let words = this.#words.get(identity);
    if (words === undefined) {
      words = statxWords(identity.size, identity.mtimeNs, identity.ctimeNs);
      this.#words.set(identity, words);
    }
    return words;
  }

  /** @throws the error of fstat(2) */
  identityOf(fd: number): FileIdentity {
    return identityOf(fstatSync(fd, { bigint: true }));
  }
}

function sameByFstat(fd: number, recorded: FileIdentity): boolean {
  try {
    const stats = fstatSync(fd, { bigint: true });
    if (notRegular(stats) !== undefined) return false;
    return isSame(recorded, identityOf(stats));
  } catch {
    return false;
  }
}
