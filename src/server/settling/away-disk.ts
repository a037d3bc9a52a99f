/** Disks that are not there: nothing is lost meanwhile. */
import type { Condition } from '../../source/condition.ts';

export interface PlacedSources {
  source(id: number): { readonly path: Buffer; readonly disk?: string | undefined } | undefined;
  readonly living: {
    condition(id: number): Condition | undefined;
    sourcesBelow(folder: Buffer): AsyncIterable<readonly { readonly id: number }[]>;
  };
}

/** `disk`, a folder of the configuration or a mount point, is not there, or was released. `begun`: as in `IndexAnswer`. */
export interface Away {
  readonly state: 'away';
  readonly begun?: number;
  readonly disk: string;
  readonly reason: string;
}

export function awayOn(disk: string, why: string): Away {
  return { state: 'away', disk, reason: `was not found, and may lie on ${disk}, which ${why}` };
}

/** Milliseconds for which an answer is believed while the same is mounted: a batch of cases asks in a row. */
const BELIEVED_MS = 2000;

export class AwayDisks {
  readonly #store: PlacedSources;
  readonly #believedMs: number;
  #last: { readonly question: string; atMs: number; readonly answer: Promise<string | undefined> } | undefined;

  constructor(store: PlacedSources, believedMs = BELIEVED_MS) {
    this.#store = store;
    this.#believedMs = believedMs;
  }

  /**
   * Finds the first of `folders` below which a source lies whose file system is not mounted. What is lost says nothing: its disk
   * may have been given up.
   */
  async first(folders: readonly string[], mounted: ReadonlyMap<string, unknown>): Promise<string | undefined> {
    const question = JSON.stringify([folders, [...mounted.keys()]]);
    const last = this.#last;
    if (last?.question === question && performance.now() - last.atMs < this.#believedMs) return await last.answer;
    const asked = { question, atMs: Number.POSITIVE_INFINITY, answer: this.#look(folders, mounted) };
    this.#last = asked;
    try {
      return await asked.answer;
    } finally {
      // However long it took: whoever waits for the same shares it.
      asked.atMs = performance.now();
    }
  }

  async #look(folders: readonly string[], mounted: ReadonlyMap<string, unknown>): Promise<string | undefined> {
    const { living } = this.#store;
    for (const folder of folders) {
      for await (const page of living.sourcesBelow(Buffer.from(folder))) {
        for (const { id } of page) {
          const disk = this.#store.source(id)?.disk;
          if (disk === undefined || mounted.has(disk) || living.condition(id)?.state === 'lost') continue;
          return folder;
        }
        await new Promise(setImmediate);
      }
    }
    return undefined;
  }
}
