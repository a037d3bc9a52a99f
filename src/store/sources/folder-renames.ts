/**
 * Folders that were renamed while their sources' records still have the old paths. Until the records are written anew, each is
 * read as if it had the new path, so that no reader waits for thousands of records.
 *
 * All of it is in memory: a crash leaves the old paths, and the cases of these sources are settled.
 */
import { isAtOrBelow } from '../../native/mountinfo.ts';

export interface FolderRename {
  readonly from: Buffer;
  readonly to: Buffer;
  /** The only sources that it concerns; absent: all below `from`. */
  readonly only: ReadonlySet<number> | undefined;
  /** Sources whose records take it into account: it does not concern them any more. */
  readonly written: Set<number>;
}

export class FolderRenames {
  /** The oldest first. */
  #renames: readonly FolderRename[] = [];

  /** True: paths of records may differ from where their sources are. */
  get any(): boolean {
    return this.#renames.length > 0;
  }

  begin(from: Buffer, to: Buffer, only?: ReadonlySet<number>): FolderRename {
    const rename = { from, to, only, written: new Set<number>() };
    this.#renames = [...this.#renames, rename];
    return rename;
  }

  end(rename: FolderRename): void {
    this.#renames = this.#renames.filter((other) => other !== rename);
  }

  /** Those that have begun and not ended. A record that is written takes them into account: note it in each. */
  get current(): readonly FolderRename[] {
    return this.#renames;
  }

  /** Tells where a source is whose record has a path. Gives that very buffer if it is there. */
  placeOf(id: number, recorded: Buffer): Buffer {
    let place = recorded;
    for (const { from, to, only, written } of this.#renames) {
      if (!isAtOrBelow(place, from) || written.has(id) || only?.has(id) === false) continue;
      place = moved(place, from, to);
    }
    return place;
  }

  /** Lists the paths that records of what is at `path` may have; `path` itself comes last. */
  pathsOf(path: Buffer): Buffer[] {
    const paths = [path];
    for (const { from, to } of this.#renames.toReversed()) {
      const before = paths.filter((each) => isAtOrBelow(each, to)).map((each) => moved(each, to, from));
      paths.unshift(...before);
    }
    return paths;
  }

  /** The same for what is below a folder. */
  foldersOf(folder: Buffer): Buffer[] {
    const folders = [folder];
    for (const { from, to } of this.#renames.toReversed()) {
      const before = folders.flatMap((each) => {
        if (isAtOrBelow(each, to)) return [moved(each, to, from)];
        return isAtOrBelow(to, each) ? [from] : [];
      });
      folders.unshift(...before);
    }
    return folders;
  }
}

function moved(path: Buffer, from: Buffer, to: Buffer): Buffer {
  return Buffer.concat([to, path.subarray(from.length)]);
}
