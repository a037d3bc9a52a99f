/**
 * Tells the watch of the folders of sources that were just recorded: they may be renamed before anybody reads them.
 *
 * No sleeping disk is woken: whoever recorded the sources has just looked at them, so the kernel has their folders in memory.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { folderOf } from '../../source/paths.ts';
import type { SourceWatch } from '../../watch/source-watch.ts';

/** Milliseconds in which folders are gathered: those of an entry come together. */
const SOON_MS = 1000;
/** Folders that are handed over together. */
const SLICE = 500;

export class NewFolders {
  readonly #watch: Pick<SourceWatch, 'know' | 'mark'>;
  readonly #stop = new AbortController();
  /** Byte strings. */
  #folders = new Set<string>();
  #running: Promise<void> | undefined;

  constructor(watch: Pick<SourceWatch, 'know' | 'mark'>) {
    this.#watch = watch;
  }

  /** Sources were recorded at these paths. */
  take(paths: readonly Buffer[]): void {
    for (const path of paths) this.#folders.add(folderOf(path).toString('latin1'));
    this.#running ??= this.#run()
      .catch(() => {})
      .finally(() => {
        this.#running = undefined;
      });
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (this.#folders.size > 0) {
      await sleep(SOON_MS, undefined, { signal, ref: false });
      const folders = [...this.#folders].map((folder) => Buffer.from(folder, 'latin1'));
      this.#folders = new Set();
      for (let at = 0; at < folders.length; at += SLICE) {
        signal.throwIfAborted();
        const own = await this.#watch.know(folders.slice(at, at + SLICE));
        for (const left of await this.#watch.mark(own)) this.#folders.add(left.toString('latin1'));
      }
    }
  }
}
