/** The programs of the clients on this machine: where each listens, what it is called, and whom it was seen to run as. */
import type { ClientConfig } from '../config/config.ts';
import { AutotorrentError } from '../errors.ts';
import type { ProgramUser } from './client.ts';
import { daemonTarget } from './deluge/target.ts';
import type { ProgramPlace } from './wire/client-program.ts';
import { placeOf } from './wire/dial.ts';
import { httpTarget } from './wire/http.ts';
import { KnownDaemons } from './wire/known-daemons.ts';
import { scgiTarget } from './wire/scgi.ts';

/**
 * The program that may be at the client's address. Undefined where another one always is, which speaks to the client: Deluge's web
 * interface, or the web server before an rTorrent.
 */
export function programOf(config: ClientConfig): ProgramPlace | undefined {
  try {
    switch (config.client) {
      case 'rtorrent':
        if (!/^scgi:/i.test(config.url)) return undefined;
        return { place: placeOf(scgiTarget(config.url)), names: ['rtorrent'] };
      case 'transmission': {
        const names = ['transmission-daemon', 'transmission-gtk', 'transmission-qt'];
        return { place: placeOf(httpTarget(new URL(config.url))), names };
      }
      case 'qbittorrent':
        return { place: placeOf(httpTarget(new URL(config.url))), names: ['qbittorrent-nox', 'qbittorrent'] };
      case 'deluge': {
        const target = config.host === undefined ? undefined : daemonTarget(config.host);
        // The interface may be its own daemon.
        return target && { place: placeOf(target), names: ['deluged', 'deluge', 'deluge-gtk'] };
      }
      default:
        return undefined;
    }
  } catch (error) {
    // An address that cannot be used: whoever uses it reports that.
    if (error instanceof AutotorrentError || error instanceof TypeError) return undefined;
    throw error;
  }
}

const NAMES = {
  rtorrent: 'rTorrent',
  deluge: 'Deluge',
  transmission: 'Transmission',
  qbittorrent: 'qBittorrent',
} as const;

/** Whom the client of a configuration ran as when it was last asked; undefined if that is not known. Does not connect. */
export function rememberedProgram(
  config: ClientConfig,
): { readonly client: string; readonly user: ProgramUser } | undefined {
  if (config.client === 'none') return undefined;
  const place = programOf(config)?.place;
  if (place === undefined) return undefined;
  try {
    const user = new KnownDaemons(config.knownDaemons).programUserOf(place);
    return user && { client: NAMES[config.client], user };
  } catch {
    // The next call to the client reports that the file cannot be read.
    return undefined;
  }
}
