/**
 * Reports the open files whose sources have become doubted, so that the kernel drops their pages: bytes may have been
 * served before the change was seen. Sources are collected for a moment, since a folder of them changes at once.
 */
import type { OpenFiles } from './open-files.ts';
import type { Stale } from './operations.ts';

const COLLECT_MS = 20;

export class StaleFiles {
  readonly #open: OpenFiles;
  readonly #listeners = new Set<(stale: Stale) => void>();
  #sources = new Set<number>();

  constructor(open: OpenFiles) {
    this.#open = open;
  }

  watch(listener: (stale: Stale) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Notes a source that has become doubted. */
  note(source: number): void {
    if (this.#listeners.size === 0) return;
    if (this.#sources.size === 0) setTimeout(() => this.#report(), COLLECT_MS).unref();
    this.#sources.add(source);
  }

  #report(): void {
    const sources = this.#sources;
    this.#sources = new Set();
    for (const ino of this.#open.readingFrom(sources)) for (const listener of this.#listeners) listener({ ino });
  }
}
