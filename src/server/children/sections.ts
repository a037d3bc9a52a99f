/** The clients that a configuration names: one for each of its `[client]` and `[client-NAME]` sections. */
import type { ClientConfig, Config } from '../../config/config.ts';
import { messageOf } from '../../errors.ts';

/** Reads the configuration with the client of a section; '' is `[client]`. */
export type ConfigOf = (section: string) => Promise<Config>;

export interface Section {
  readonly name: string;
  readonly config: ClientConfig & { readonly client: Exclude<ClientConfig['client'], 'none'> };
  /** The name in messages: `rtorrent`, or `rtorrent (client-laptop)`. */
  readonly shown: string;
}

/** Lists each client once, even if two sections name the same. A wrong section is left out and reported. */
export async function sectionsOf(
  config: Config,
  configOf: ConfigOf,
  onProblem: (message: string) => void,
): Promise<Section[]> {
  const sections = new Map<string, Section>();
  for (const name of config.clientSections) {
    try {
      const { client } = await configOf(name);
      if (client === undefined || client.client === 'none') continue;
      const address = JSON.stringify(client, ['client', 'url', 'host']);
      const shown = name === '' ? client.client : `${client.client} (client-${name})`;
      if (!sections.has(address)) sections.set(address, { name, config: client, shown });
    } catch (error) {
      onProblem(`[client${name === '' ? '' : `-${name}`}] is skipped: ${messageOf(error)}`);
    }
  }
  return [...sections.values()];
}
