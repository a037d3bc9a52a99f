/**
 * The collection index, opened ahead of the code that asks it. If no index process runs, it starts while the command loads
 * that code and reads the torrents. So this file imports little.
 */
import type { CollectionIndex } from '../collection/index.ts';
import { openCollection } from '../collection/open.ts';
import type { Config } from '../config/config.ts';
import type { Logger } from '../logger.ts';

export interface OpeningIndex {
  /** Rejects with AutotorrentError('INDEX') if there is no index, or it cannot be read. It may be ignored. */
  readonly opened: Promise<CollectionIndex>;
  /** Stops waiting for the index, or closes it. */
  close(): Promise<void>;
}

export interface OpeningOptions {
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** Begins to open the index of a configuration. */
export function beginOpening(config: Pick<Config, 'db'>, { logger, signal }: OpeningOptions): OpeningIndex {
  const closing = new AbortController();
  const opened = openCollection(config, { logger, signal: AbortSignal.any([signal, closing.signal]) }).openIndex();
  const index = opened.catch(() => undefined); // the caller that asks the index gets the error
  return {
    opened,
    async close() {
      closing.abort(new Error('nobody asks the index any more'));
      await (await index)?.close();
    },
  };
}
