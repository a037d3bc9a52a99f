/** What others are told about the store as it happens: synchronously, in the turn in which it has become so. */

/**
 * What the kernel may have kept and must not believe any more: the absence or presence of a name, or all it knows of an
 * inode (attributes and pages). Only changes that no operation of the mount has asked for are reported.
 */
export type Stale = { readonly parent: number; readonly name: string } | { readonly ino: number };

export interface StoreWatcher {
  /** Told of the id of each entry whose bytes change; often. */
  readonly bytesChanged?: (entry: number) => void;
  readonly stale?: (what: Stale) => void;
}

export class Notices {
  readonly #watchers = new Set<StoreWatcher>();

  /** Gives a function that ends it. */
  watch(watcher: StoreWatcher): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  bytesChanged(entry: number): void {
    for (const watcher of this.#watchers) watcher.bytesChanged?.(entry);
  }

  stale(what: Stale): void {
    for (const watcher of this.#watchers) watcher.stale?.(what);
  }
}
