/** Other files that have the bytes of a source: those that replace one that cannot be read, and pins, which go before it. */
import { messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { isOutOfDescriptors } from '../native/descriptor-budget.ts';
import { lieApart, type RecordedSource } from './identity.ts';
import { LeasedElsewhere } from './leased-elsewhere.ts';
import type { ReadersLook } from './look-at-readers.ts';
import type { Readers } from './readers.ts';
import type { SourceFile } from './source-file.ts';

export interface SparesParts {
  readonly record: (id: number) => RecordedSource | undefined;
  readonly readersLook: Pick<ReadersLook, 'atPath'>;
  /** Tells if a spare is a pin. */
  readonly isPin: (spare: RecordedSource) => boolean;
  /** The open file of a spare, looked at within the last second, or now if `look` is set. @throws NotServed; EMFILE, ENFILE */
  readonly opened: (id: number, spare: RecordedSource, look: boolean) => Promise<SourceFile>;
  /** Called with a source whose pin cannot be served. */
  readonly onPinFailed?: ((id: number) => void) | undefined;
  readonly logger: Logger;
}

export class Spares {
  readonly #parts: SparesParts;

  constructor(parts: SparesParts) {
    this.#parts = parts;
  }

  /** Opens the first spare of a source that can be opened and is not `except`. */
  async first(id: number, except?: number): Promise<SourceFile | undefined> {
    for (const spareId of this.#parts.record(id)?.spares ?? []) {
      if (spareId === except) continue;
      const spare = this.#parts.record(spareId);
      if (spare === undefined) continue;
      try {
        return await this.#parts.opened(spareId, spare, true);
      } catch (error) {
        if (isOutOfDescriptors(error) || error instanceof LeasedElsewhere) throw error;
        this.#parts.logger.debug(`${spare.path.toString()} cannot stand in: ${messageOf(error)}`);
      }
    }
    return undefined;
  }

  /** The pin of a source, if it has one on its disk that is as recorded. @throws EMFILE, ENFILE */
  async pinOf(id: number, look: boolean): Promise<SourceFile | undefined> {
    const record = this.#parts.record(id);
    for (const pinId of record?.spares ?? []) {
      const pin = this.#parts.record(pinId);
      // Who moves a film to another disk wants it read there.
      if (record === undefined || pin === undefined || !this.#parts.isPin(pin) || lieApart(record, pin)) continue;
      try {
        const file = await this.#parts.opened(pinId, pin, look);
        if (file.doubt === 0 && file.difference === undefined) return file;
      } catch (error) {
        if (isOutOfDescriptors(error)) throw error;
        this.#parts.logger.debug(`${pin.path.toString()} is not served: ${messageOf(error)}`);
        this.#parts.onPinFailed?.(id);
      }
    }
    return undefined;
  }

  /**
   * Who may read a source that a file serves. One that is served from its pin is as private as its own file is. Undefined: that is not
   * there, and it stays as private as it was.
   */
  async readersOf(id: number, served: SourceFile): Promise<Readers | undefined> {
    const path = this.#parts.record(id)?.path;
    if (id === served.id || path === undefined || !this.#parts.isPin(served.record)) return served.readers;
    return await this.#parts.readersLook.atPath(path);
  }
}
