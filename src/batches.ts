/** Does things together that are asked for one by one: what is asked for while a batch is done is the next one. */

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly resolve: (result: Result | Promise<Result>) => void;
  readonly reject: (error: unknown) => void;
}

export class Batches<Item, Result> {
  readonly #most: number;
  readonly #work: (items: readonly Item[]) => readonly Promise<Result>[];
  readonly #waiting: Waiting<Item, Result>[] = [];
  #running = false;

  /** `work` begins a batch, of `most` items at most, and gives a promise for each. The next begins once all of them have settled. */
  constructor(most: number, work: (items: readonly Item[]) => readonly Promise<Result>[]) {
    this.#most = most;
    this.#work = work;
  }

  /** Resolves or rejects as the item's own promise does. */
  async add(item: Item): Promise<Result> {
    return await new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      if (this.#running) return;
      this.#running = true;
      void this.#run();
    });
  }

  async #run(): Promise<void> {
    // What this turn of the event loop asks for is one batch.
    await new Promise(setImmediate);
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, this.#most);
      try {
        const results = this.#work(batch.map(({ item }) => item));
        for (const [i, { resolve }] of batch.entries()) resolve(results[i]!);
        await Promise.allSettled(results);
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.#running = false;
  }
}

/** The work of a batch that is done in one go: all of it, or nothing. */
export function together<Item, Result>(
  work: (items: readonly Item[]) => Promise<readonly Result[]>,
): (items: readonly Item[]) => readonly Promise<Result>[] {
  return (items) => {
    const all = work(items);
    return items.map(async (_, i) => (await all)[i]!);
  };
}
