/** Sees that the index is newer than a loss: asks the server, and rebuilds what it says. */
import type { Config } from '../../config/config.ts';
import type { ControlClient } from '../../control/client.ts';
import { messageOf } from '../../errors.ts';
import type { Freshness } from '../../heal/index-used.ts';
import type { Logger } from '../../logger.ts';
import { rebuildCollection } from '../rebuild.ts';
import { type DiskLooks, lookAtDisks } from './configured-disks.ts';

export interface FreshIndexTools {
  readonly server: Pick<ControlClient, 'cases'>;
  readonly access: DiskLooks;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Called when there is a newer index. */
  readonly onRenewed: () => void;
}

export class FreshIndex {
  readonly #config: Config;
  readonly #tools: FreshIndexTools;
  /** When the rebuild began of which the index was asked last. */
  #begun: number | undefined;

  constructor(config: Config, tools: FreshIndexTools) {
    this.#config = config;
    this.#tools = tools;
  }

  /** @throws the signal's reason; AutotorrentError('SERVER') if the server cannot be asked */
  async sees(id: number, leftMs: number): Promise<Freshness> {
    const { server, access, onRenewed } = this.#tools;
    for (;;) {
      const now = await lookAtDisks(this.#config, access);
      const answer = await server.cases.index({ id, leftMs, ...now });
      // Somebody else may have renewed it.
      if ('begun' in answer && answer.begun !== this.#begun) {
        this.#begun = answer.begun;
        onRenewed();
      }
      if (answer.state !== 'renew') return answer;
      const disks = now.disks.filter(({ path }) => answer.disks.includes(path));
      const begunMs = Date.now();
      const failed = await this.#rebuild(answer.disks);
      await server.cases.indexRenewed(disks, begunMs, failed);
    }
  }

  /** Returns why it failed, if it did. Only these disks: what else the index has stays in it. */
  async #rebuild(paths: readonly string[]): Promise<string | undefined> {
    const { logger, signal } = this.#tools;
    try {
      await rebuildCollection(this.#config, { paths, cwd: '/', full: false, logger, signal, onProgress() {} });
      return undefined;
    } catch (error) {
      signal.throwIfAborted();
      return messageOf(error);
    }
  }
}
