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
  /** Pins: kept files that are made in advance, without limits (`server/protect/`). */
  readonly pins: KeptFiles;
  /** For the store. */
  readonly own: OwnFiles;
  readonly #parts: RescuingParts;
  #sources: KeptSources | undefined;

  constructor(parts: RescuingParts) {
    this.#parts = parts;
    const { config, pool, stateId, access, logger } = parts;
    const state = { id: stateId, path: config.statePath };
    const common = {
      folders: async () => await access.folders.ofUsers(),
      fileSystems: access.fileSystems,
      pool,
      released: access.released,
      logger,
    };
    this.files = openKeptFiles({
      ...common,
      state,
      limit: config.rescueLimit,
      total: config.rescueTotal,
      expendable: () => this.#sources?.expendable() ?? [],
      letGo: async (path) => (await this.#sources?.giveUp(path)) === true,
    });
    this.pins = openKeptFiles({
      ...common,
      state: { ...state, pins: true },
      limit: Number.POSITIVE_INFINITY,
      total: Number.POSITIVE_INFINITY,
      expendable: () => [],
      letGo: async () => false,
    });
    this.own = ownFilesOf(this.files, logger, this.pins);
  }

  async close(): Promise<void> {
    await Promise.all([this.files.close(), this.pins.close()]);
  }

  /** Makes what decides what is kept, once the store is open. */
  rescue(
    parts: Pick<RescueParts, 'store' | 'look' | 'openFile' | 'note'> & Pick<KeptSourcesParts, 'isOpenCase'>,
  ): Rescue {
    const { pool, access, logger } = this.#parts;
    const { files } = this;
    this.#sources = new KeptSources({ ...parts, files, pins: this.pins, pool, logger });
    return new Rescue({ ...parts, fileSystems: access.fileSystems, files, sources: this.#sources, logger });
  }
}
