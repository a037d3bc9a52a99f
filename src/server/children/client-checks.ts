/** Asks the clients of the configuration whether one of them is hashing a torrent now. */
import { introduce } from '../../app/introduce.ts';
import type { TorrentClient } from '../../clients/client.ts';
import { createClient } from '../../clients/create.ts';
import type { ServedEntry } from '../../control/served.ts';
import { messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import type { Section } from './sections.ts';

/** A client that does not answer must not delay the verification for longer than this. */
const TIME_LIMIT_MS = 5000;
/** An answer counts for this long: a check that matters takes longer. */
const FRESH_MS = 2000;

export class ClientChecks {
  readonly #clients: Set<TorrentClient>;
  readonly #infoHashes: readonly string[];
  readonly #logger: Logger;
  #checking: ReadonlySet<string> = new Set();
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(clients: Iterable<TorrentClient>, infoHashes: readonly string[], logger: Logger) {
    this.#clients = new Set(clients);
    this.#infoHashes = infoHashes;
    this.#logger = logger;
  }

  static open(sections: readonly Section[], entries: readonly ServedEntry[], logger: Logger): ClientChecks {
    const clients = new Set<TorrentClient>();
    for (const { config } of sections) {
      const client = createClient(config, { timeoutMs: TIME_LIMIT_MS });
      introduce(client, entries);
      clients.add(client);
    }
    const infoHashes = entries.map(({ infoHash }) => infoHash);
    return new ClientChecks(clients, infoHashes, logger);
  }

  /**
   * Reports whether a client checks a torrent. False also if no client can be asked: then there is nothing to wait for.
   */
  async isChecking(infoHash: string): Promise<boolean> {
    if (performance.now() - this.#askedAt >= FRESH_MS) await this.#ask();
    return this.#checking.has(infoHash);
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.#clients].map(async (client) => await client.close()));
  }

  async #ask(): Promise<void> {
    const checking = new Set<string>();
    await Promise.all(
      [...this.#clients].map(async (client) => {
        try {
          for (const { infoHash, activity, unsettled } of await client.list(this.#infoHashes)) {
            if (activity === 'checking' || unsettled === true) checking.add(infoHash);
          }
        } catch (error) {
          // It is not asked again: each further question would take its time limit.
          this.#clients.delete(client);
          this.#logger.debug(`a client cannot be asked what it checks: ${messageOf(error)}`);
          await client.close().catch(() => {});
        }
      }),
    );
    this.#checking = checking;
    this.#askedAt = performance.now();
  }
}
