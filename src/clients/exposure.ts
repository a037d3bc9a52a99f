/** Whether other users of this machine can give a client orders, and so become the user whom it runs as. */
import type { ClientConfig } from '../config/config.ts';
import { hostIn, isOwnHost } from './wire/own-host.ts';

/**
 * Says how a client of this machine is open to its other users, and what to do; undefined where it is not, or where that
 * cannot be known from here. `config` is one with which the client answers: without a password it asks for none.
 */
export function exposureOf(config: ClientConfig): string | undefined {
  switch (config.client) {
    case 'rtorrent': {
      const [, place] = /^scgi:\/\/(.*)$/i.exec(config.url) ?? [];
      if (place === undefined) return withoutPassword(config, 'rTorrent', 'set one in the web server before it');
      if (!isOwnHost(hostIn(place))) return undefined;
      return (
        'SCGI has no password: every user of this machine can run programs as the user of this rTorrent. Put ' +
        'network.scgi.open_local = /path/of/a.socket into rtorrent.rc, in a folder that only that user may enter, and ' +
        'url = scgi:///path/of/a.socket here'
      );
    }
    case 'transmission':
      return withoutPassword(config, 'Transmission', 'set rpc-authentication-required, rpc-username and rpc-password');
    case 'qbittorrent':
      return withoutPassword(config, 'qBittorrent', 'switch off "Bypass authentication for clients on localhost"');
    default:
      return undefined;
  }
}

function withoutPassword(
  config: { readonly url: string; readonly username?: string; readonly password?: string },
  name: string,
  remedy: string,
): string | undefined {
  const url = new URL(config.url);
  if (!isOwnHost(url.hostname) || [config.password, url.password].some((one) => (one ?? '') !== '')) return undefined;
  return `${name} asks for no password: every user of this machine can have it run programs as its user. To end that, ${remedy}`;
}
