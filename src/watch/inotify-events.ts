/** Makes events of sources out of those of inotify, which knows names only, and keeps the tree of folders right. */
import {
  IN_ATTRIB,
  IN_CLOSE_WRITE,
  IN_CREATE,
  IN_DELETE,
  IN_IGNORED,
  IN_ISDIR,
  IN_MODIFY,
  IN_MOVED_FROM,
  IN_MOVED_TO,
  IN_Q_OVERFLOW,
  type InotifyEvent,
} from '../native/inotify.ts';
import { type Folder, inside } from './folder-tree.ts';
import type { Group } from './group.ts';
import type { Marks } from './marks.ts';
import type { ThreadEvent } from './protocol.ts';

/** The first half of a rename. */
interface Half {
  readonly path: string;
  readonly folder: boolean;
  /** Its folder had sources. */
  readonly wanted: boolean;
  readonly parent: Folder;
  readonly name: string;
}

export class InotifyEvents {
  readonly #marks: Marks;
  readonly #emit: (event: ThreadEvent) => void;
  readonly #halves = new Map<number, Half>();
  /** Halves that were there before the last reading: their other half will not come. */
  #old = new Set<number>();

  constructor({ marks, emit }: { readonly marks: Marks; readonly emit: (event: ThreadEvent) => void }) {
    this.#marks = marks;
    this.#emit = emit;
  }

  /** True: a rename waits for its other half, which the next reading gives, or nothing. */
  get waiting(): boolean {
    return this.#halves.size > 0;
  }

  take(group: Group, { watch, mask, cookie, name }: InotifyEvent): void {
    if ((mask & IN_Q_OVERFLOW) !== 0) {
      group.overflows++;
      this.#marks.verify();
      this.#emit({ kind: 'overflow' });
      return;
    }
    const parent = group.folders.get(watch);
    if (parent === undefined) return;
    if ((mask & IN_IGNORED) !== 0) {
      this.#marks.lost(parent);
      return;
    }
    const above = this.#marks.tree.pathOf(parent);
    if (above === undefined || name === '') return;
    const path = inside(above, name);
    const folder = (mask & IN_ISDIR) !== 0;
    const { wanted } = parent;
    if ((mask & IN_MOVED_FROM) !== 0) this.#halves.set(cookie, { path, folder, wanted, parent, name });
    else if ((mask & IN_MOVED_TO) !== 0) this.#movedTo(cookie, path, folder, parent, name);
    else if (folder) this.#folder(mask, path, parent.children?.get(name));
    else if (wanted) {
      if ((mask & IN_CREATE) !== 0) this.#emit({ kind: 'appeared', path, folder });
      if ((mask & IN_MODIFY) !== 0) this.#emit({ kind: 'written', path });
      if ((mask & IN_CLOSE_WRITE) !== 0) this.#emit({ kind: 'closed', path });
      if ((mask & IN_ATTRIB) !== 0) this.#emit({ kind: 'attributes', path });
      if ((mask & IN_DELETE) !== 0) this.#emit({ kind: 'deleted', path, folder });
    }
  }

  #folder(mask: number, path: string, known: Folder | undefined): void {
    if ((mask & IN_CREATE) !== 0) {
      if (known !== undefined || this.#marks.addNew(path)) this.#emit({ kind: 'appeared', path, folder: true });
    } else if ((mask & IN_DELETE) !== 0 && known !== undefined) {
      for (const each of this.#marks.tree.below(known)) this.#marks.lost(each);
      this.#emit({ kind: 'deleted', path, folder: true });
    }
  }

  #movedTo(cookie: number, path: string, folder: boolean, parent: Folder, name: string): void {
    const half = this.#halves.get(cookie);
    this.#halves.delete(cookie);
    const moved = folder ? half?.parent.children?.get(half.name) : undefined;
    if (half === undefined || (folder && moved === undefined)) {
      if (!folder ? parent.wanted : parent.children?.has(name) === true || this.#marks.addNew(path)) {
        this.#emit({ kind: 'appeared', path, folder });
      }
      return;
    }
    if (moved !== undefined) {
      const there = parent.children?.get(name);
      // Two folders that are exchanged: each finds its mark again when it is used next.
      if (there !== undefined && there !== moved) this.#loseBelow(there);
      this.#marks.tree.hang(moved, parent, name);
    } else if (!half.wanted && !parent.wanted) return;
    if (!folder) parent.wanted = true;
    this.#emit({ kind: 'renamed', from: half.path, to: path, folder, watch: moved?.watch ?? parent.watch });
  }

  /** After each reading: reports the moves of which the second half did not come. */
  settle(): void {
    for (const cookie of this.#old) {
      const half = this.#halves.get(cookie);
      if (half === undefined) continue;
      this.#halves.delete(cookie);
      const known = half.folder ? half.parent.children?.get(half.name) : undefined;
      if (known !== undefined) this.#loseBelow(known);
      if (known !== undefined || (!half.folder && half.wanted)) {
        this.#emit({ kind: 'left', path: half.path, folder: half.folder });
      }
    }
    this.#old = new Set(this.#halves.keys());
  }

  #loseBelow(folder: Folder): void {
    for (const each of this.#marks.tree.below(folder)) this.#marks.forget(each);
  }
}
