/** Which pins there are, and of which sources: so nobody walks through all sources to find them. */
import { lieApart } from '../../source/identity.ts';
import type { Store } from '../../store/store.ts';
import type { KeptRecords } from '../rescue/kept-records.ts';

/** A pin of a file that is gone from its disk. `original`: its source, which lies on another one. */
export interface LeftPin {
  readonly id: number;
  readonly path: Buffer;
  readonly original: number | undefined;
}

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

  /** Lists the pins of files which are gone from their disk: they are spares of nothing, or of a file on another disk. */
  left(): LeftPin[] {
    const found: LeftPin[] = [];
    for (const [id, original] of this.#originals) {
      const pin = this.#store.source(id);
      const record = original === undefined ? undefined : this.#store.source(original);
      if (pin === undefined) this.#originals.delete(id);
      else if (record?.spares.includes(id) !== true) found.push({ id, path: pin.path, original: undefined });
      else if (lieApart(record, pin)) found.push({ id, path: pin.path, original });
    }
    return found;
  }
}
