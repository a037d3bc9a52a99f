/** One torrent in all clients of the configuration. */
import { introduce } from '../../../app/introduce.ts';
import type { TorrentClient, TorrentState } from '../../../clients/client.ts';
import { createClient } from '../../../clients/create.ts';
import type { ServedEntry } from '../../../control/served.ts';
import { clientFailure } from '../absence/sections.ts';
import type { Section } from '../sections.ts';

const CONTACT_LIMIT_MS = 5000;

/** A client that cannot be asked, or does not do what it is told; the sentence names it. */
export class ClientTrouble extends Error {}

export class Clients {
  readonly #all: readonly { readonly section: Section; readonly client: TorrentClient }[];
  /** Sections that answered in this process. */
  readonly #met = new Set<string>();

  readonly #connect: typeof createClient;

  constructor(sections: readonly Section[], connect = createClient) {
    this.#connect = connect;
    this.#all = sections.map((section) => ({ section, client: connect(section.config) }));
  }

  introduce(entry: ServedEntry): void {
    for (const { client } of this.#all) introduce(client, [entry]);
  }

  /**
   * Gives the state of the torrent in each client that has it, by section.
   * @throws ClientTrouble if one of them cannot be asked: it may have the torrent, and run it; or has only begun to look at it
   */
  async states(infoHash: string): Promise<ReadonlyMap<string, TorrentState>> {
    const found = new Map<string, TorrentState>();
    for (const { section, client } of this.#all) {
      await this.#attempt(section, async () => {
        await this.#meet(section);
        const [state] = await client.list([infoHash]);
        if (state?.unsettled === true)
          throw new ClientTrouble(`${section.shown} has only begun to look at the torrent`);
        if (state !== undefined) found.set(section.name, state);
      });
    }
    return found;
  }

  /** The name of a section in messages; undefined if the configuration has it no longer. */
  shown(section: string): string | undefined {
    return this.#all.find((one) => one.section.name === section)?.section.shown;
  }

  /** Has the client of a section stop, check or start the torrent; `checked`: it has checked it. @throws ClientTrouble */
  async tell(name: string, what: 'stop' | 'recheck' | 'start', infoHash: string, checked = false): Promise<void> {
    const found = this.#all.find(({ section }) => section.name === name);
    if (found === undefined) return;
    await this.#attempt(found.section, async () => {
      if (what === 'start') await found.client.start([infoHash], { checked });
      else await found.client[what]([infoHash]);
    });
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#all.map(async ({ client }) => await client.close()));
  }

  /** Asks a client for a sign of life, once: one that is away must not hold up the others for long. */
  async #meet({ name, config }: Section): Promise<void> {
    if (this.#met.has(name)) return;
    const client = this.#connect(config, { timeoutMs: CONTACT_LIMIT_MS });
    try {
      await client.describe();
    } finally {
      await client.close();
    }
    this.#met.add(name);
  }

  async #attempt(section: Section, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (error instanceof ClientTrouble) throw error;
      throw new ClientTrouble(`${section.shown}: ${clientFailure(error)}`);
    }
  }
}
