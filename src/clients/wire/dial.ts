/** Connects to a client: the one way for every transport that sends a password or a torrent in its first bytes. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { cutOff, type Endpoint } from './exchange.ts';

/** A unix socket, or a host and its port. */
export type Target = { readonly path: string } | { readonly host: string; readonly port: number };

/**
 * Gives a connection to a program that may be sent something (`listener.ts`). It is destroyed when `signal` is aborted.
 * @throws AutotorrentError('CLIENT'), the errors of connect(2)
 */
export async function dial(target: Target, endpoint: Endpoint, signal: AbortSignal): Promise<Socket> {
  const socket = connect({ ...target, signal });
  let failed: unknown;
  // Whoever uses the connection listens for itself; in between nobody would.
  socket.on('error', (error) => {
    failed = error;
  });
  try {
    await once(socket, 'connect');
    await endpoint.listener?.check(socket, placeOf(target));
    if (socket.destroyed) throw failed ?? cutOff(endpoint);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** What a program at `target` is known by: a text without blanks. */
export function placeOf(target: Target): string {
  if ('path' in target) return `unix:${target.path.replaceAll(/[\s%]/g, encodeURIComponent)}`;
  const host = target.host.toLowerCase();
  return `${host.includes(':') ? `[${host}]` : host}:${target.port}`;
}
