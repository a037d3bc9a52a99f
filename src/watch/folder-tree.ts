/**
 * The folders that have sources, and those above them, as a tree of names. To rename a folder is to hang one node elsewhere,
 * however many sources are below it. Names and paths are byte strings.
 */
import type { Group } from './group.ts';

export class Folder {
  name: string;
  /** Undefined: the root, or a folder that was moved to where no mark is. */
  parent: Folder | undefined;
  children: Map<string, Folder> | undefined;
  /** True: it has sources. */
  wanted = false;
  /** The group whose events name it by `key`: a handle, or the number of an inotify watch. */
  group: Group | undefined;
  key: string | number | undefined;
  /** What the server knows this folder's watch by. */
  watch = 0;

  constructor(name: string, parent: Folder | undefined) {
    this.name = name;
    this.parent = parent;
  }
}

export class FolderTree {
  readonly #root = new Folder('', undefined);

  find(path: string): Folder | undefined {
    let folder: Folder | undefined = this.#root;
    for (const name of namesOf(path)) folder = folder?.children?.get(name);
    return folder;
  }

  make(path: string): Folder {
    let folder = this.#root;
    for (const name of namesOf(path))
      folder = folder.children?.get(name) ?? this.hang(new Folder(name, undefined), folder);
    return folder;
  }

  /** Gives `folder` a place. One that was there before is returned by `child` first: it would be lost. */
  hang(folder: Folder, parent: Folder, name = folder.name): Folder {
    this.cut(folder);
    folder.name = name;
    folder.parent = parent;
    parent.children ??= new Map();
    parent.children.set(name, folder);
    return folder;
  }

  /** Takes a folder, with all below it, out of the tree. */
  cut(folder: Folder): void {
    const siblings = folder.parent?.children;
    if (siblings?.get(folder.name) === folder) siblings.delete(folder.name);
    folder.parent = undefined;
  }

  /** Undefined if the folder is in no tree any more. */
  pathOf(folder: Folder): string | undefined {
    const names: string[] = [];
    for (let at: Folder | undefined = folder; at !== this.#root; at = at.parent) {
      if (at === undefined) return undefined;
      names.push(at.name);
    }
    return `/${names.toReversed().join('/')}`;
  }

  /** A folder and all below it. Default: all folders. */
  *below(folder: Folder = this.#root): Generator<Folder, void, undefined> {
    const left = [folder];
    for (let next = left.pop(); next !== undefined; next = left.pop()) {
      yield next;
      if (next.children !== undefined) left.push(...next.children.values());
    }
  }

  /** Deletes a folder that nobody wants, and those above it for which the same is true. */
  prune(folder: Folder): void {
    for (let at: Folder | undefined = folder; at?.parent !== undefined; ) {
      if (at.wanted || at.key !== undefined || (at.children?.size ?? 0) > 0) return;
      const above: Folder = at.parent;
      this.cut(at);
      at = above;
    }
  }
}

function namesOf(path: string): string[] {
  return path.split('/').filter((name) => name !== '');
}

/** Joins a folder's path and a name. */
export function inside(folder: string, name: string): string {
  return folder === '/' ? `/${name}` : `${folder}/${name}`;
}

/** Splits a path into the folder and the name in it. */
export function split(path: string): { readonly folder: string; readonly name: string } {
  const slash = path.lastIndexOf('/');
  return { folder: slash <= 0 ? '/' : path.slice(0, slash), name: path.slice(slash + 1) };
}
