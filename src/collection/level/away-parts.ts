/** The parts of an index that lie on disks which are away: which they are, and what a rebuild does with each folder of them. */
import { AutotorrentError } from '../../errors.ts';
import { type AwayFolder, findAway, type RootMount } from '../scan/away-disks.ts';
import type { FolderRecord } from '../scan/folder-record.ts';
import { isInside } from '../scan/mounts.ts';
import type { DiskAway } from '../writer.ts';
import type { FolderStore } from './folder-store.ts';
import type { IndexState } from './index-database.ts';

export interface AwayQuestion {
  readonly state: IndexState | undefined;
  readonly store: FolderStore | undefined;
  /** Real paths that are not touched. */
  readonly avoid: readonly string[];
  /** See `RebuildRequest.givenUp`: byte strings. */
  readonly givenUp?: readonly string[];
}

/** Finds the folders of an index that are away now. What cannot be read of the index is not. */
export async function findAwayIn({ state, store, avoid }: AwayQuestion): Promise<AwayFolder[]> {
  if (state === undefined || store === undefined) return [];
  const touched = state.roots.filter(({ real }) => !avoid.some((path) => isInside(real, path)));
  return await findAway(touched, async (path) => {
    try {
      return await someFiles(
        store,
        await store.find(
          path,
          state.roots.map((root) => root.path),
        ),
      );
    } catch (error) {
      if (error instanceof AutotorrentError && error.code === 'INDEX') return [];
      throw error;
    }
  });
}

/** Files by which a folder is known, and folders that are read to find them. */
const SOME_FILES = 64;
const OF_ONE_FOLDER = 4;
const MOST_FOLDERS = 512;

/** Gives the relative paths of a few files below a folder. */
async function someFiles(store: FolderStore, folder: number | undefined): Promise<string[]> {
  const found: string[] = [];
  const left = folder === undefined ? [] : [{ id: folder, base: '' }];
  for (let read = 0; read < MOST_FOLDERS && found.length < SOME_FILES; read++) {
    const at = left.shift();
    if (at === undefined) break;
    const record = (await store.records([at.id])).get(at.id);
    if (record === undefined) continue;
    for (let i = 0; i < Math.min(record.files, OF_ONE_FOLDER); i++) {
      found.push(at.base + record.fileName(i).toString('latin1'));
    }
    const first = store.knownRow(at.id).firstSubfolder;
    for (let i = 0; i < record.subfolders && left.length < MOST_FOLDERS; i++) {
      if (store.row(first + i) === undefined) continue;
      left.push({ id: first + i, base: `${at.base}${record.subfolderName(i)}/` });
    }
  }
  return found;
}

export class AwayParts {
  /** Those that are kept. */
  readonly folders: readonly AwayFolder[];
  readonly #givenUp: readonly AwayFolder[];
  readonly #files = new Map<AwayFolder, number>();

  static async find(question: AwayQuestion): Promise<AwayParts> {
    const { givenUp = [] } = question;
    const found = await findAwayIn(question);
    const isGivenUp = ({ path, disk }: AwayFolder): boolean =>
      givenUp.some((named) => named === disk || (named.startsWith('/') && isInside(path, named)));
    return new AwayParts(
      found.filter((folder) => !isGivenUp(folder)),
      found.filter(isGivenUp),
    );
  }

  private constructor(folders: readonly AwayFolder[], givenUp: readonly AwayFolder[]) {
    this.folders = folders;
    this.#givenUp = givenUp;
  }

  /** Tells if a folder is taken from the index as it is: it lies at or below one that is away. */
  holds(path: string): boolean {
    return this.folders.some((folder) => isInside(path, folder.path));
  }

  /** Tells if a folder leads to one that is away, or lies in one: its record in the index is needed in any case. */
  concerns(path: string): boolean {
    return this.folders.some((folder) => isInside(path, folder.path) || isInside(folder.path, path));
  }

  isGivenUp(path: string): boolean {
    return this.#givenUp.some((folder) => isInside(path, folder.path));
  }

  /** The names of folders right below one that are away, and that its record lacks: their mount points are gone. */
  lackingIn(path: string, record: FolderRecord): string[] {
    const base = path === '/' ? '/' : `${path}/`;
    const names = this.folders.flatMap((folder) => {
      const name = folder.path.startsWith(base) ? folder.path.slice(base.length) : '';
      return name === '' || name.includes('/') ? [] : [name];
    });
    if (names.length === 0) return names;
    const there = new Set(Array.from({ length: record.subfolders }, (_, i) => record.subfolderName(i)));
    return names.filter((name) => !there.has(name));
  }

  /** Counts the files of a folder that was taken from the index. */
  count(path: string, files: number): void {
    const holding = this.folders.find((folder) => isInside(path, folder.path));
    if (holding !== undefined) this.#files.set(holding, (this.#files.get(holding) ?? 0) + files);
  }

  /** Those of which a folder was counted. */
  counted(): DiskAway[] {
    return [...this.#files].map(([{ path }, files]) => ({ path: Buffer.from(path, 'latin1'), files }));
  }

  /** Joins the mounts of a root now with those that are away, which are mounted when they are back. */
  mountsOf(now: readonly RootMount[], before: readonly RootMount[] = []): RootMount[] {
    const away = before.filter(({ path }) => this.holds(path));
    return [...now.filter(({ path }) => !this.holds(path)), ...away];
  }
}
