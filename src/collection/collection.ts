/** An index and its writer. `level/` implements them; `process/` asks the process that runs `level/`. */
import type { CollectionIndex } from './index.ts';
import type { CollectionWriter } from './writer.ts';

export interface Collection extends CollectionWriter {
  /**
   * Opens the index as it is now. It answers from that state until it is closed, also during and after a rebuild.
   * @throws AutotorrentError('INDEX') if there is no index, or it cannot be used
   */
  openIndex(): Promise<CollectionIndex>;
}
