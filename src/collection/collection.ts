/** An index and its writer, whoever keeps them: `level/` does, and `process/` asks the process that does. */
import type { CollectionIndex } from './index.ts';
import type { CollectionWriter } from './writer.ts';

export interface Collection extends CollectionWriter {
  /**
   * Opens the index as it is now. It answers from that state until it is closed, whatever is rebuilt meanwhile.
   * @throws AutotorrentError('INDEX') where there is no index, or it cannot be used
   */
  openIndex(): Promise<CollectionIndex>;
}
