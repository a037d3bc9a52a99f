/** The one place that knows which adapter a configuration means. */
import type { ClientConfig } from '../config/config.ts';
import type { TorrentClient } from './client.ts';
import { createDelugeClient } from './deluge/adapter.ts';
import { programOf } from './programs.ts';
import { createQbittorrentClient } from './qbittorrent/adapter.ts';
import { createRtorrentClient } from './rtorrent/adapter.ts';
import { createTransmissionClient } from './transmission/adapter.ts';
import type { ClientOptions } from './wire/exchange.ts';

/**
 * Makes the client that `config` names; it does not connect yet. Undefined for `client = none`.
 * @throws AutotorrentError('CONFIG') where its address or label cannot be used
 */
export function createClient(config: Exclude<ClientConfig, { client: 'none' }>, options?: ClientOptions): TorrentClient;
export function createClient(config: ClientConfig, options?: ClientOptions): TorrentClient | undefined;
export function createClient(config: ClientConfig, options: ClientOptions = {}): TorrentClient | undefined {
  if (config.client === 'none') return undefined;
  const { knownDaemons } = config;
  const all: ClientOptions = {
    program: programOf(config),
    ...(knownDaemons === undefined ? {} : { knownDaemons }),
    ...options,
  };
  switch (config.client) {
    case 'rtorrent':
      return createRtorrentClient(config, all);
    case 'transmission':
      return createTransmissionClient(config, all);
    case 'deluge':
      return createDelugeClient(config, all);
    case 'qbittorrent':
      return createQbittorrentClient(config, all);
    default:
      return undefined;
  }
}
