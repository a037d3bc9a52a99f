/** Which pins there are, and of which sources: so nobody walks through all sources to find them. */
import type { Store } from '../../store/store.ts';
import type { KeptRecords } from '../rescue/kept-records.ts';

export class PinTable {
  readonly #store: Pick<Store, 'source' | 'living'>;
  /** Originals by the ids of their pins; undefined: gone. */
  readonly #originals = new Map<number, number | undefined>();

  constructor(store: Pick<Store, 'source' | 'living'>) {
    this.#store = store;
  }

  /** Takes up the pins of earlier servers. */
  load({ paths, originals }: KeptRecords): void {
    for (const [id, path] of paths) {
      if (this.#store.living.isPin(path)) this.#originals.set(id, originals.get(id));
    }
  }

  /** Notes a pin that was made. */
  made(pin: number, original: number): void {
    this.#originals.set(pin, original);
  }

  /** Lists the pins that stand for files which are gone: they are spares of nothing. */
  alone(): { readonly id: number; readonly path: Buffer }[] {
    const found: { readonly id: number; readonly path: Buffer }[] = [];
    for (const [id, original] of this.#originals) {
      const path = this.#store.source(id)?.path;
      if (path === undefined) this.#originals.delete(id);
      else if (original === undefined || this.#store.source(original)?.spares.includes(id) !== true) {
        found.push({ id, path });
      }
    }
    return found;
  }
}
