/** Which index a case was looked for in, and whether it is newer than the loss. */
import type { CollectionIndex } from '../collection/index.ts';

/**
 * Whether the index may be asked what became of bytes that left their place. `later` and `away` say why it may not: a
 * predicate. `disk`: the one that is not there.
 */
export type Freshness =
  | { readonly state: 'fresh' }
  | { readonly state: 'later'; readonly reason: string }
  | { readonly state: 'away'; readonly reason: string; readonly disk: string };

/** The index that a case was looked for in. */
export class IndexUsed {
  readonly #index: () => Promise<CollectionIndex | undefined>;
  #version: string | undefined;
  #used = false;

  constructor(index: () => Promise<CollectionIndex | undefined>) {
    this.#index = index;
  }

  async get(): Promise<CollectionIndex | undefined> {
    const index = await this.#index();
    // The first that was asked: a newer one may have more.
    if (!this.#used) [this.#used, this.#version] = [true, index?.version];
    return index;
  }

  /** False if there is another one by now. */
  async isNewest(): Promise<boolean> {
    return !this.#used || (await this.#index())?.version === this.#version;
  }
}
