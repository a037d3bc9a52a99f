/**
 * The possible contents of a file after its server was killed.
 *
 * A version is the whole content after one operation. There may be several since the last fsync, and each page may be from
 * any of them: a page is written whole or not at all, but nothing orders two pages. Acknowledged writes should survive
 * without an fsync, too, since there is a journal: those that do not are reported as lost.
 */
export const PAGE = 4096;

export interface Verdict {
  /** In words: the content is none of the versions. */
  readonly wrong: readonly string[];
  /** Pages, and the size, that are of an older version than the last acknowledged one. */
  readonly lost: readonly string[];
}

export class FileHistory {
  /** The versions since the last fsync, the synced one first. Never empty. */
  #versions: Buffer[];
  /** The version of an operation that was not answered. */
  #pending: Buffer | undefined;

  constructor(content: Buffer) {
    this.#versions = [content];
  }

  get latest(): Buffer {
    return this.#versions.at(-1)!;
  }

  begin(content: Buffer): void {
    this.#pending = content;
  }

  acknowledge(): void {
    if (this.#pending !== undefined) this.#versions.push(this.#pending);
    this.#pending = undefined;
  }

  synced(): void {
    this.#versions = [this.latest];
  }

  /** The kernel may split a write into several requests, cut at pages: only the first ones may have been done. */
  #isGrowing(size: number): boolean {
    const until = this.#pending?.length ?? 0;
    return size % PAGE === 0 && size > this.latest.length && size < until;
  }

  judge(found: Buffer): Verdict {
    const last = this.#pending === undefined ? [this.latest] : [this.latest, this.#pending];
    const all = [...this.#versions, ...last];
    const wrong: string[] = [];
    const lost: string[] = [];
    const judgeOne = (what: string, agrees: (version: Buffer) => boolean): void => {
      if (last.some(agrees)) return;
      (all.some(agrees) ? lost : wrong).push(what);
    };
    if (!this.#isGrowing(found.length)) judgeOne(`size ${found.length}`, (version) => version.length === found.length);
    for (let start = 0; start < found.length; start += PAGE) {
      const page = found.subarray(start, start + PAGE);
      judgeOne(`page ${start / PAGE}`, (version) => pageOf(version, start, page.length).equals(page));
    }
    return { wrong, lost };
  }
}

/** Gives a version's bytes there; beyond its end zeros, as after a truncate to the size that was found. */
function pageOf(version: Buffer, start: number, length: number): Buffer {
  const page = version.subarray(start, start + length);
  return page.length === length ? page : Buffer.concat([page, Buffer.alloc(length - page.length)]);
}

/** Gives `content` with `data` written at `position`. */
export function written(content: Buffer, position: number, data: Buffer): Buffer {
  const after = resized(content, Math.max(content.length, position + data.length));
  data.copy(after, position);
  return after;
}

export function resized(content: Buffer, size: number): Buffer {
  const after = Buffer.alloc(size);
  content.copy(after);
  return after;
}
