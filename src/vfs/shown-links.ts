/**
 * The links that a file shows beside its own names: those of its source. Programs that clean up delete what has one link, since
 * they take it for used nowhere else (`show_links`).
 *
 * They are those of the plan, whatever a client has written over it, as recorded: nothing looks at a source for them. Of several
 * sources the largest number counts.
 */
import type { Inode } from '../store/records/record.ts';
import type { Store } from '../store/store.ts';

interface Known {
  readonly version: number;
  readonly links: number;
}

export class ShownLinks {
  readonly #store: Store;
  readonly #unwatch: () => void;
  /** A changed inode is another object. */
  readonly #known = new WeakMap<Inode, Known>();
  /** Rises when the links of a source change, or sources become others. */
  #version = 0;

  constructor(store: Store) {
    this.#store = store;
    const changed = (): void => {
      this.#version++;
    };
    this.#unwatch = store.watch({ linksChanged: changed, sourcesChanged: changed });
  }

  /** What is added to the names of a file in the mount; nothing for one without a name. */
  of(ino: number, inode: Inode): number {
    if (inode.type !== 'file' || inode.content === 'plain' || inode.nlink === 0) return 0;
    const known = this.#known.get(inode);
    if (known?.version === this.#version) return known.links;
    let links = 0;
    for (const source of this.#store.sourcesOf(ino)) links = Math.max(links, this.#store.links(source));
    this.#known.set(inode, { version: this.#version, links });
    return links;
  }

  close(): void {
    this.#unwatch();
  }
}
