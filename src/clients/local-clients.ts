/**
 * Finds the torrent clients of this machine by their own configuration files: where each listens, and what these files
 * show of its user name and password. It connects to nothing, and reads no other file.
 */
import { isAbsolute, join } from 'node:path';
import { readSmallFile } from '../bytes/read-file.ts';
import { errnoOf, messageOf } from '../errors.ts';
import { delugeSettings, delugeSettingsFiles } from './deluge/settings.ts';
import { qbittorrentSettings, qbittorrentSettingsFiles } from './qbittorrent/settings.ts';
import { rtorrentSettings, rtorrentSettingsFiles } from './rtorrent/settings.ts';
import { transmissionSettings, transmissionSettingsFiles } from './transmission/settings.ts';

/** Bytes: far more than any client's configuration has. */
const LARGEST_FILE = 1024 * 1024;

export interface LocalClient {
  readonly client: 'rtorrent' | 'deluge' | 'transmission' | 'qbittorrent';
  /** The file that shows it. */
  readonly from: string;
  /** Keys and values of the section [client], `client` left out; the password is absent where it is not known. */
  readonly settings: Readonly<Record<string, string>>;
  /** The client wants a password that its file does not show (it holds a hash of it). */
  readonly wantsPassword: boolean;
  /** Why it cannot be used as it is; `settings` is then empty. One sentence. */
  readonly problem?: string;
}

/** The settings in one configuration file, or why it cannot be used. */
export type LocalSettings = Pick<LocalClient, 'settings' | 'wantsPassword'> | { readonly problem: string };

export interface Places {
  /** The user's home folder. */
  readonly home: string;
  /** `XDG_CONFIG_HOME`, where it is set. */
  readonly xdgConfig?: string | undefined;
  /** The root of everything outside the home folder: `/`, another in tests. */
  readonly root: string;
}

/** The places with the configuration folder settled: `XDG_CONFIG_HOME`, or `~/.config`. */
export interface SettingsPlaces {
  readonly home: string;
  readonly configHome: string;
  readonly root: string;
}

/** In the order rTorrent, Deluge, Transmission, qBittorrent; the user's own files before the system's. */
export async function findLocalClients({ home, xdgConfig, root }: Places): Promise<LocalClient[]> {
  const configHome = xdgConfig !== undefined && isAbsolute(xdgConfig) ? xdgConfig : join(home, '.config');
  const places = { home, configHome, root };
  const found = [
    await firstOf('rtorrent', rtorrentSettingsFiles(places), (text) => rtorrentSettings(text, home)),
    await firstOf('deluge', delugeSettingsFiles(places), delugeSettings),
    await firstOf('transmission', transmissionSettingsFiles(places), transmissionSettings),
    await firstOf('qbittorrent', qbittorrentSettingsFiles(places), qbittorrentSettings),
  ];
  return found.filter((one) => one !== undefined);
}

/** Reads the first of `files` that exists; undefined where none does. */
async function firstOf(
  client: LocalClient['client'],
  files: readonly string[],
  read: (text: string, from: string) => LocalSettings | Promise<LocalSettings>,
): Promise<LocalClient | undefined> {
  for (const from of files) {
    try {
      const shown = await read(readSmallFile(from, LARGEST_FILE).toString(), from);
      return { client, from, ...('problem' in shown ? { settings: {}, wantsPassword: false, ...shown } : shown) };
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === 'ENOENT' || errno === 'ENOTDIR') continue;
      const why =
        error instanceof SyntaxError ? `its format is not the expected one: ${error.message}` : messageOf(error);
      return { client, from, settings: {}, wantsPassword: false, problem: `${from} cannot be read: ${why}` };
    }
  }
  return undefined;
}
