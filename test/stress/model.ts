/**
 * The generator's belief about the folder, so that most operations that it chooses are possible. It follows the reference's
 * answers and never decides what is right: the reference does.
 */
import { constants } from 'node:fs';
import type { FileType } from '../../src/vfs/operations.ts';
import { RENAME_EXCHANGE } from '../../src/vfs/operations.ts';
import type { Operation } from './operation.ts';

export interface ModelInode {
  readonly type: FileType;
  /** For a file. */
  size: number;
  /** Path in the fixture, if its bytes come from sources. */
  readonly original: string | undefined;
  /** For a directory. */
  readonly children: Map<string, ModelDentry>;
  readonly dentries: Set<ModelDentry>;
  readonly handles: Set<ModelHandle>;
  /** True: it has, or had, several names. */
  aliased: boolean;
}

export interface ModelDentry {
  name: string;
  /** None if it is gone. */
  parent: ModelInode | undefined;
  /** Its place when it was removed. */
  formerParent?: ModelInode | undefined;
  readonly inode: ModelInode;
}

export interface ModelHandle {
  readonly number: number;
  readonly flags: number;
  readonly inode: ModelInode;
  /** The name through which it was opened. */
  readonly dentry: ModelDentry;
}

const newInode = (type: FileType, size = 0, original?: string): ModelInode => ({
  type,
  size,
  original,
  children: new Map(),
  dentries: new Set(),
  handles: new Set(),
  aliased: false,
});

export class Model {
  readonly root = newInode('directory');
  readonly handles = new Map<number, ModelHandle>();
  #lastHandle = 0;

  /** Fills in the folder's contents at the beginning, with the folders on the way. */
  place(path: string, type: FileType, size: number, original?: string): void {
    const names = path.split('/');
    const name = names.pop() ?? '';
    let folder = this.root;
    for (const step of names)
      folder = (folder.children.get(step) ?? this.#add(folder, step, newInode('directory'))).inode;
    this.#add(folder, name, newInode(type, size, original));
  }

  nextHandle(): number {
    return ++this.#lastHandle;
  }

  /** All names, in an order that depends only on the operations. */
  dentries(): ModelDentry[] {
    const found: ModelDentry[] = [];
    const walk = (folder: ModelInode): void => {
      for (const dentry of folder.children.values()) {
        found.push(dentry);
        walk(dentry.inode);
      }
    };
    walk(this.root);
    return found;
  }

  /** `''` is the root. None if it does not exist. */
  at(path: string): ModelInode | undefined {
    return path === '' ? this.root : this.#dentryAt(path)?.inode;
  }

  /** Tells if a file was deleted from a folder that is still open. */
  holdsOrphans(folder: ModelInode): boolean {
    return [...this.handles.values()].some(
      ({ dentry }) => dentry.parent === undefined && dentry.formerParent === folder,
    );
  }

  /** Describes the file that an operation works on, before the operation. */
  subjectOf(operation: Operation): ModelInode | undefined {
    if ('handle' in operation && operation.do !== 'open') return this.handles.get(operation.handle)?.inode;
    return this.at(operation.path);
  }

  #dentryAt(path: string): ModelDentry | undefined {
    let folder = this.root;
    let dentry: ModelDentry | undefined;
    for (const step of path.split('/')) {
      dentry = folder.children.get(step);
      if (dentry === undefined) return undefined;
      folder = dentry.inode;
    }
    return dentry;
  }

  #split(path: string): { folder: ModelInode; name: string } {
    const slash = path.lastIndexOf('/');
    const folder = this.at(path.slice(0, Math.max(0, slash)));
    if (folder === undefined) throw new Error(`the model has no folder of ${path}`);
    return { folder, name: path.slice(slash + 1) };
  }

  #add(folder: ModelInode, name: string, inode: ModelInode): ModelDentry {
    const dentry: ModelDentry = { name, parent: folder, inode };
    folder.children.set(name, dentry);
    inode.dentries.add(dentry);
    if (inode.dentries.size > 1) inode.aliased = true;
    return dentry;
  }

  #remove(dentry: ModelDentry): void {
    dentry.parent?.children.delete(dentry.name);
    dentry.formerParent = dentry.parent;
    dentry.parent = undefined;
    dentry.inode.dentries.delete(dentry);
  }

  #move(dentry: ModelDentry, folder: ModelInode, name: string): void {
    dentry.parent?.children.delete(dentry.name);
    dentry.parent = folder;
    dentry.name = name;
    folder.children.set(name, dentry);
  }

  #demand(path: string): ModelDentry {
    const dentry = this.#dentryAt(path);
    if (dentry === undefined) throw new Error(`the model has no ${path}`);
    return dentry;
  }

  /** Follows an operation that succeeded. `written` is the count that a write returned. */
  follow(operation: Operation, written = 0): void {
    switch (operation.do) {
      case 'open': {
        const { folder, name } = this.#split(operation.path);
        const dentry = folder.children.get(name) ?? this.#add(folder, name, newInode('file'));
        const { inode } = dentry;
        if ((operation.flags & constants.O_TRUNC) !== 0) inode.size = 0;
        const handle = { number: operation.handle, flags: operation.flags, inode, dentry };
        this.handles.set(operation.handle, handle);
        inode.handles.add(handle);
        break;
      }
      case 'close': {
        const handle = this.handles.get(operation.handle);
        this.handles.delete(operation.handle);
        if (handle !== undefined) handle.inode.handles.delete(handle);
        break;
      }
      case 'write': {
        const handle = this.handles.get(operation.handle);
        if (handle === undefined) break;
        const { inode, flags } = handle;
        const position = (flags & constants.O_APPEND) === 0 ? operation.position : inode.size;
        if (written > 0) inode.size = Math.max(inode.size, position + written);
        break;
      }
      case 'fallocate': {
        const inode = this.handles.get(operation.handle)?.inode;
        if (inode !== undefined && (operation.mode & KEEP_SIZE) === 0)
          inode.size = Math.max(inode.size, operation.position + operation.length);
        break;
      }
      case 'ftruncate':
      case 'truncate': {
        const inode = this.subjectOf(operation);
        if (inode !== undefined) inode.size = operation.size;
        break;
      }
      case 'mkdir':
      case 'mkfifo':
      case 'symlink': {
        const { folder, name } = this.#split(operation.path);
        const type = { mkdir: 'directory', mkfifo: 'fifo', symlink: 'symlink' } as const;
        this.#add(folder, name, newInode(type[operation.do]));
        break;
      }
      case 'unlink':
      case 'rmdir':
        this.#remove(this.#demand(operation.path));
        break;
      case 'link': {
        const { folder, name } = this.#split(operation.to);
        this.#add(folder, name, this.#demand(operation.path).inode);
        break;
      }
      case 'rename':
        this.#rename(operation.path, operation.to, operation.flags);
        break;
      default:
    }
  }

  #rename(path: string, to: string, flags: number): void {
    const dentry = this.#demand(path);
    const { folder, name } = this.#split(to);
    const there = folder.children.get(name);
    // Two names of one file: rename(2) does nothing.
    if (there?.inode === dentry.inode) return;
    if (there !== undefined && flags === RENAME_EXCHANGE) {
      const { parent, name: oldName } = dentry;
      this.#move(dentry, folder, name);
      if (parent !== undefined) {
        there.parent = parent;
        there.name = oldName;
        parent.children.set(oldName, there);
      }
      return;
    }
    if (there !== undefined) this.#remove(there);
    this.#move(dentry, folder, name);
  }
}

/** fallocate(2). */
export const KEEP_SIZE = 1;
export const PUNCH_HOLE = 2;
export const ZERO_RANGE = 16;

export function pathOf(dentry: ModelDentry, root: ModelInode): string {
  const names = [dentry.name];
  for (let folder = dentry.parent; folder !== root; ) {
    const [above] = folder?.dentries ?? [];
    if (above === undefined) throw new Error(`${dentry.name} hangs from nowhere`);
    names.unshift(above.name);
    folder = above.parent;
  }
  return names.join('/');
}
