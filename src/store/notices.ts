/** Notices about the store, sent synchronously, in the turn in which the change happens. */
import type { Condition } from '../source/condition.ts';
import type { Readers } from '../source/readers.ts';

/**
 * Cached data that the kernel must drop: a name's presence or absence, or all it knows of an inode (attributes
 * and pages). Only changes that no operation of the mount asked for are reported.
 */
export type Stale = { readonly parent: number; readonly name: string } | { readonly ino: number };

/** A source that others may read, or may no longer. */
export interface ReadersChange {
  readonly source: number;
  readonly before: Readers;
  readonly now: Readers;
}

export interface StoreWatcher {
  /** Called with the id of each entry whose bytes change; often. */
  readonly bytesChanged?: (entry: number) => void;
  readonly stale?: (what: Stale) => void;
  readonly readersChanged?: (change: ReadersChange) => void;
  /** Called when a source has another number of hard links. */
  readonly linksChanged?: () => void;
  /** Called with the ids of sources whose records changed or are gone, or whose bytes a file takes from elsewhere now. */
  readonly sourcesChanged?: (ids: readonly number[]) => void;
  /** Called with the paths at which sources were recorded: new ones, and those that were found in another folder. */
  readonly placed?: (paths: readonly Buffer[]) => void;
  /** Called when sources below a folder have other paths: it was renamed. */
  readonly folderRenamed?: (from: Buffer) => void;
  /** Called with the entry of each piece that is proven (`LivingSources.prove`); often. */
  readonly proven?: (entry: number) => void;
  /** Called when a source gets another condition; undefined: it is trusted. */
  readonly conditionChanged?: (id: number, before: Condition | undefined, now: Condition | undefined) => void;
}

export class Notices {
  readonly #watchers = new Set<StoreWatcher>();

  /** Adds a watcher. Returns a function that removes it. */
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

  readersChanged(change: ReadersChange): void {
    for (const watcher of this.#watchers) watcher.readersChanged?.(change);
  }

  linksChanged(): void {
    for (const watcher of this.#watchers) watcher.linksChanged?.();
  }

  sourcesChanged(ids: readonly number[]): void {
    for (const watcher of this.#watchers) watcher.sourcesChanged?.(ids);
  }

  placed(paths: readonly Buffer[]): void {
    for (const watcher of this.#watchers) watcher.placed?.(paths);
  }

  folderRenamed(from: Buffer): void {
    for (const watcher of this.#watchers) watcher.folderRenamed?.(from);
  }

  proven(entry: number): void {
    for (const watcher of this.#watchers) watcher.proven?.(entry);
  }

  conditionChanged(id: number, before: Condition | undefined, now: Condition | undefined): void {
    for (const watcher of this.#watchers) watcher.conditionChanged?.(id, before, now);
  }
}
