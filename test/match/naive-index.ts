/** The collection index's contract over a real folder, in plain loops: the real index must agree with it. */
import { lstatSync, readdirSync } from 'node:fs';
import type {
  ArchivedFile,
  CollectionFile,
  CollectionIndex,
  FileNumbers,
  FolderRef,
  FolderTree,
  Indexed,
  LeftOutFile,
  LeftOutQuestion,
  NameAndRange,
} from '../../src/collection/index.ts';
import { normaliseName } from '../../src/collection/names.ts';
import { isReleaseFolder, isReleasePart } from '../../src/collection/release.ts';
import { identityAt } from '../harness/plans.ts';

interface Folder extends FolderRef {
  readonly name: Buffer;
  readonly parent: Folder | undefined;
  release: number | null;
}

export class NaiveIndex implements CollectionIndex {
  /** Batches by method: matching must not ask for one file at a time. */
  readonly calls: string[] = [];
  readonly version = 'naive';
  readonly #folders: Folder[] = [];
  readonly #files: CollectionFile[] = [];
  readonly #links: LeftOutFile[] = [];
  readonly #byNameAndSize = new Map<string, CollectionFile[]>();

  constructor(disk: string) {
    this.#scan(Buffer.from(disk), Buffer.from(''), undefined);
    const names = new Map<number, string[]>();
    for (const file of this.#files) names.set(file.folder, [...(names.get(file.folder) ?? []), file.name.toString()]);
    for (const folder of this.#folders) {
      if (!isReleaseFolder(names.get(folder.id) ?? [])) continue;
      let root = folder;
      while (isReleasePart(root.name.toString()) && root.parent !== undefined) root = root.parent;
      if (root.parent !== undefined) root.release = root.id;
    }
    for (const [i, file] of this.#files.entries()) {
      let release: number | null = null;
      for (let at = this.#folders[file.folder]; at !== undefined; at = at.parent) release ??= at.release;
      const found = { ...file, release };
      this.#files[i] = found;
      const key = `${file.size}/${normaliseName(file.name)}`;
      this.#byNameAndSize.set(key, [...(this.#byNameAndSize.get(key) ?? []), found]);
    }
  }

  async byNameAndSize(questions: readonly { name: string; size: number }[]): Promise<CollectionFile[][]> {
    this.calls.push('byNameAndSize');
    return questions.map(({ name, size }) => this.#byNameAndSize.get(`${size}/${normaliseName(name)}`) ?? []);
  }

  async byName(questions: readonly NameAndRange[]): Promise<CollectionFile[][]> {
    this.calls.push('byName');
    return questions.map(({ name, min, max, limit }) =>
      this.#files
        .filter((file) => normaliseName(file.name) === normaliseName(name) && file.size >= min && file.size <= max)
        .toSorted((a, b) => a.size - b.size)
        .slice(0, limit),
    );
  }

  async bySize(
    questions: readonly { min: number; max: number; near: number; limit: number }[],
  ): Promise<CollectionFile[][]> {
    this.calls.push('bySize');
    return questions.map(({ min, max, near, limit }) =>
      this.#files
        .filter(({ size }) => size >= min && size <= max)
        .toSorted((a, b) => Math.abs(a.size - near) - Math.abs(b.size - near))
        .slice(0, limit),
    );
  }

  /** Reads no archives. */
  async archived(questions: readonly unknown[]): Promise<ArchivedFile[][]> {
    return questions.map(() => []);
  }

  async byInode(questions: readonly FileNumbers[]): Promise<CollectionFile[][]> {
    return questions.map(({ dev, ino }) =>
      this.#files.filter(({ path }) => {
        const found = identityAt(path);
        return found.dev === dev && found.ino === ino;
      }),
    );
  }

  async releases(names: readonly string[]): Promise<FolderRef[][]> {
    this.calls.push('releases');
    return names.map((name) =>
      this.#folders.filter((f) => f.release === f.id && normaliseName(f.name) === normaliseName(name)),
    );
  }

  async folders(names: readonly Buffer[]): Promise<FolderRef[][]> {
    this.calls.push('folders');
    return names.map((name) => this.#folders.filter((folder) => folder.name.equals(name)));
  }

  /** Links alone: it ignores nothing. */
  async leftOut(questions: readonly LeftOutQuestion[]): Promise<LeftOutFile[][]> {
    this.calls.push('leftOut');
    return questions.map(({ name, limit }) =>
      this.#links.filter(({ path }) => normaliseName(nameOf(path)) === normaliseName(name)).slice(0, limit),
    );
  }

  /** None is. */
  async awayDisks(paths: readonly Buffer[]): Promise<null[]> {
    this.calls.push('awayDisks');
    return paths.map(() => null);
  }

  async known(paths: readonly Buffer[]): Promise<Indexed[]> {
    this.calls.push('known');
    return paths.map((path) => {
      const file = this.#files.find((one) => one.path.equals(path));
      const disk = this.#folders[0]?.path ?? null;
      return { disk, kind: file === undefined ? 'nothing' : 'file', builtMs: 0 };
    });
  }

  async trees(ids: readonly number[]): Promise<FolderTree[]> {
    this.calls.push('trees');
    return ids.map((id) => {
      const root = this.#folders[id];
      const nothing = Buffer.alloc(0);
      if (root === undefined) return { root: { id, path: nothing }, name: nothing, files: [] };
      const files = this.#files.flatMap((file) => {
        const relative = [file.name];
        let at = this.#folders[file.folder];
        for (; at !== undefined && at !== root; at = at.parent) relative.unshift(at.name);
        return at === root ? [{ file, relative }] : [];
      });
      return { root, name: root.name, files };
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #scan(path: Buffer, name: Buffer, parent: Folder | undefined): void {
    const folder: Folder = { id: this.#folders.length, path, name, parent, release: null };
    this.#folders.push(folder);
    for (const entry of readdirSync(path, { withFileTypes: true, encoding: 'buffer' })) {
      const child = Buffer.concat([path, Buffer.from('/'), entry.name]);
      if (entry.isDirectory()) this.#scan(child, entry.name, folder);
      else if (entry.isFile()) {
        const { size } = lstatSync(child);
        this.#files.push({ folder: folder.id, path: child, name: entry.name, size, release: null });
      } else if (entry.isSymbolicLink()) this.#links.push({ path: child, size: null, code: 'link' });
    }
  }
}

const nameOf = (path: Buffer): Buffer => path.subarray(path.lastIndexOf(0x2f) + 1);
