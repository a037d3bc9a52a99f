/** Warnings about how a client is reached. */
import { isOwnHost } from '../clients/wire/own-host.ts';
import type { ClientConfig } from '../config/config.ts';

/** One sentence for a password that others can read on its way; otherwise none. */
export function clientNotices(client: ClientConfig | undefined): string[] {
  if (client === undefined || !('url' in client) || client.url === undefined || !URL.canParse(client.url)) return [];
  const { protocol, hostname, password: inUrl } = new URL(client.url);
  const hasPassword = inUrl !== '' || ('password' in client && client.password !== undefined);
  if (protocol !== 'http:' || !hasPassword || isOwnHost(hostname)) return [];
  return [
    `[client] url = http://${hostname}…: the password crosses the network for everybody to read: use https:// or a tunnel`,
  ];
}
