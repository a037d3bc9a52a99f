/** Whether a client that cannot be connected to has ended, or only what stands in front of it. */
import type { ClientConfig } from '../config/config.ts';
import { hostIn, isOwnHost } from './wire/own-host.ts';

/**
 * True where the client itself listens at its address, on this machine: if nothing listens there, it does not run. False
 * for a web interface that is a program of its own, for an address that looks like a web server in front of the client,
 * and for other machines, to which a tunnel may lead.
 */
export function listensItself(config: ClientConfig): boolean {
  switch (config.client) {
    case 'rtorrent': {
      const [, place] = /^scgi:\/\/(.*)$/i.exec(config.url) ?? [];
      return place !== undefined && (place.startsWith('/') || isOwnHost(hostIn(place)));
    }
    case 'deluge':
      return config.host !== undefined && isOwnHost(hostIn(config.host));
    case 'transmission':
    case 'qbittorrent': {
      const { protocol, hostname, port } = new URL(config.url);
      // A URL leaves port 80 out.
      return protocol === 'http:' && port !== '' && isOwnHost(hostname);
    }
    default:
      return false;
  }
}
