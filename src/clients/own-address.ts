/** Whether a client that cannot be connected to has ended, or only what stands before it. */
import type { ClientConfig } from '../config/config.ts';

/**
 * True where the client itself listens at its address, on this machine: where nothing does, it does not run. False for a
 * web interface that is a program of its own, for what looks like a web server before the client, and for other machines, to
 * which a tunnel may lead.
 */
export function listensItself(config: ClientConfig): boolean {
  switch (config.client) {
    case 'rtorrent':
      return /^scgi:\/\/(\/|localhost:|127\.[\d.]+:|\[::1\]:)/i.test(config.url);
    case 'deluge':
      return config.host !== undefined && /^(localhost|127\.[\d.]+|\[::1\])(:|$)/i.test(config.host);
    case 'transmission':
    case 'qbittorrent': {
      const { protocol, hostname, port } = new URL(config.url);
      // Port 80 is left out of a URL.
      return protocol === 'http:' && port !== '' && /^(localhost|127\.[\d.]+|\[::1\])$/i.test(hostname);
    }
    default:
      return false;
  }
}
