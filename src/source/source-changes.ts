/** Tells those who wait for a source when its record, or what is known of it, has changed. */

/** Milliseconds for which a reader waits until the case of a source is settled. */
export const SETTLING_MS = 5000;

export class SourceChanges {
  readonly #listeners = new Set<(ids: readonly number[]) => void>();

  /** Calls `listener` with the sources of each change until the returned function is called. */
  on(listener: (ids: readonly number[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  changed(ids: readonly number[]): void {
    for (const listener of this.#listeners) listener(ids);
  }

  /** Waits until one of the sources changes. False if none does within `ms`. */
  async wait(ids: readonly number[], ms: number): Promise<boolean> {
    if (ms <= 0) return false;
    return await new Promise((resolve) => {
      const end = (changed: boolean): void => {
        clearTimeout(timer);
        this.#listeners.delete(listener);
        resolve(changed);
      };
      const listener = (changed: readonly number[]): void => {
        if (changed.some((id) => ids.includes(id))) end(true);
      };
      const timer = setTimeout(() => end(false), ms);
      this.#listeners.add(listener);
    });
  }
}
