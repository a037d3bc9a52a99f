/** Finds bytes of gaps that have come back, and maps them (docs/sources.md, "Bytes that come back"). */
import { mapReturned } from '../../../app/settling/return-bytes.ts';
import { createSettler, type OpenSettler } from '../../../app/settling/settler.ts';
import { sourceRulesNow } from '../../../app/source-rules-now.ts';
import type { Config } from '../../../config/config.ts';
import type { ControlClient } from '../../../control/client.ts';
import type { ServedEntry } from '../../../control/served.ts';
import type { Remap } from '../../../heal/case.ts';
import type { Logger } from '../../../logger.ts';

export class ReturnedBytes {
  readonly #server: ControlClient;
  readonly #open: () => Promise<OpenSettler>;
  #settling: OpenSettler | undefined;
  /** By info hash: what was hashed, and is not mapped yet. */
  readonly #found = new Map<string, readonly Remap[]>();

  constructor(config: Config, server: ControlClient, logger: Logger) {
    this.#server = server;
    const { signal } = new AbortController();
    this.#open = async () => {
      const rules = await sourceRulesNow(config, server);
      return createSettler(config, server, { rules, logger, signal, background: true });
    };
  }

  /** Looks for bytes of an entry's gaps. True if some were found. @throws the errors of the index and the pool */
  async find({ infoHash, missingBytes }: ServedEntry): Promise<boolean> {
    if (missingBytes === 0) return false;
    this.#settling ??= await this.#open();
    this.#settling.changed();
    const found = await this.#settling.settler.fillGaps(infoHash, { onlyNew: true });
    this.#found.set(infoHash, found);
    return found.length > 0;
  }

  /** Maps what there is. Returns the bytes that are missing no longer. */
  async map(entry: ServedEntry): Promise<number> {
    for (let tries = 0; tries < 2; tries++) {
      if (!this.#found.has(entry.infoHash)) await this.find(entry);
      const found = this.#found.get(entry.infoHash) ?? [];
      this.#found.delete(entry.infoHash);
      const bytes = await mapReturned(entry, this.#server, found);
      if (bytes > 0 || found.length === 0) return bytes;
      // Its files have changed since they were looked at.
    }
    return 0;
  }

  async close(): Promise<void> {
    await this.#settling?.close();
  }
}
