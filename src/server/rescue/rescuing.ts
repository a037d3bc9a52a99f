/** Puts together what keeps files: it is opened before the store, whose records it needs, and which deletes kept files. */
import type { Config } from '../../config/config.ts';
import type { Logger } from '../../logger.ts';
import { openKeptFiles } from '../../rescue/keeper.ts';
import type { KeptFiles } from '../../rescue/kept-files.ts';
import type { OwnFiles } from '../../source/own-files.ts';
import type { SourceAccess } from '../../source/source-access.ts';
import { KeptSources, type KeptSourcesParts, ownFilesOf } from './kept-sources.ts';
import { Rescue, type RescueParts } from './rescue.ts';

export interface RescuingParts {
  readonly config: Pick<Config, 'statePath' | 'rescueLimit' | 'rescueTotal'>;
  /** The pool's folder. */
  readonly pool: string;
  /** `rescue/state-id.ts`. */
  readonly stateId: string;
  readonly access: SourceAccess;
  readonly logger: Logger;
}

export class Rescuing {
  readonly files: KeptFiles;
  /** For the store. */
  readonly own: OwnFiles;
  readonly #parts: RescuingParts;
  #sources: KeptSources | undefined;

  constructor(parts: RescuingParts) {
    this.#parts = parts;
    const { config, pool, stateId, access, logger } = parts;
    this.files = openKeptFiles({
      folders: async () => await access.folders.ofUsers(),
      fileSystems: access.fileSystems,
      pool,
      state: { id: stateId, path: config.statePath },
      limit: config.rescueLimit,
      total: config.rescueTotal,
      expendable: () => this.#sources?.expendable() ?? [],
      letGo: async (path) => (await this.#sources?.giveUp(path)) === true,
      released: access.released,
      logger,
    });
    this.own = ownFilesOf(this.files, logger);
  }

  /** Makes what decides what is kept, once the store is open. */
  rescue(
    parts: Pick<RescueParts, 'store' | 'look' | 'openFile' | 'note'> & Pick<KeptSourcesParts, 'isOpenCase'>,
  ): Rescue {
    const { pool, access, logger } = this.#parts;
    const { files } = this;
    this.#sources = new KeptSources({ ...parts, files, pool, logger });
    return new Rescue({ ...parts, fileSystems: access.fileSystems, files, sources: this.#sources, logger });
  }
}
