/**
 * The torrent clients of this machine, as their own configuration files tell: where each listens, and what of its user
 * name and password is known. Nothing is connected to, and nothing but these files is read.
 */
import { readFile } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { errnoOf, messageOf } from '../errors.ts';
import { accountIn, delugeFolders } from './deluge/account.ts';
import { scgiPlaceOf } from './rtorrent/rc.ts';
import { isRecord } from './wire/json.ts';

export interface LocalClient {
  readonly client: 'rtorrent' | 'deluge' | 'transmission' | 'qbittorrent';
  /** The file that told it. */
  readonly from: string;
  /** Keys and values of the section [client], `client` left out; the password is absent where it is not known. */
  readonly settings: Readonly<Record<string, string>>;
  /** The client wants a password that its file does not tell (it holds a hash of it). */
  readonly wantsPassword: boolean;
  /** Why it cannot be used as it is; `settings` is then empty. One sentence. */
  readonly problem?: string;
}

export interface Places {
  /** The user's home folder. */
  readonly home: string;
  /** `XDG_CONFIG_HOME`, where it is set. */
  readonly xdgConfig?: string | undefined;
  /** The root of what is looked at outside of the home folder: `/`, another in tests. */
  readonly root: string;
}

/** In the order rTorrent, Deluge, Transmission, qBittorrent; the user's own files before the system's. */
export async function findLocalClients(places: Places): Promise<LocalClient[]> {
  const { home, root } = places;
  const xdg = places.xdgConfig !== undefined && isAbsolute(places.xdgConfig) ? places.xdgConfig : join(home, '.config');
  const found: (LocalClient | undefined)[] = [
    await firstOf([join(xdg, 'rtorrent', 'rtorrent.rc'), join(home, '.rtorrent.rc')], 'rtorrent', (text) =>
      rtorrent(text, home),
    ),
    await firstOf(
      delugeFolders(xdg, root).map((folder) => join(folder, 'core.conf')),
      'deluge',
      async (text, from) => await deluge(text, from),
    ),
    await firstOf(
      [
        join(xdg, 'transmission-daemon', 'settings.json'),
        join(xdg, 'transmission', 'settings.json'),
        join(root, 'etc/transmission-daemon/settings.json'),
        join(root, 'var/lib/transmission-daemon/.config/transmission-daemon/settings.json'),
      ],
      'transmission',
      transmission,
    ),
    await firstOf([join(xdg, 'qBittorrent', 'qBittorrent.conf')], 'qbittorrent', qbittorrent),
  ];
  return found.filter((one) => one !== undefined);
}

type Told = Omit<LocalClient, 'client' | 'from'>;

const unusable = (problem: string): Told => ({ settings: {}, wantsPassword: false, problem });

/** Of the first file that is there; undefined where none is. */
async function firstOf(
  files: readonly string[],
  client: LocalClient['client'],
  tell: (text: string, from: string) => Told | Promise<Told>,
): Promise<LocalClient | undefined> {
  for (const from of files) {
    try {
      return { client, from, ...(await tell(await readFile(from, 'utf8'), from)) };
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === 'ENOENT' || errno === 'ENOTDIR') continue;
      const why =
        error instanceof SyntaxError ? `it is not what is expected there: ${error.message}` : messageOf(error);
      return { client, from, ...unusable(`${from} cannot be read: ${why}`) };
    }
  }
  return undefined;
}

function rtorrent(text: string, home: string): Told {
  const place = scgiPlaceOf(text);
  if (place === undefined) {
    return unusable('it opens no SCGI endpoint: add network.scgi.open_local = /path/of/a.socket to it');
  }
  if (place.value === undefined) {
    return unusable(`line ${place.line} computes where it listens: write that place as url = scgi://… yourself`);
  }
  const value = place.kind === 'local' ? place.value.replace(/^~(?=\/)/, home) : place.value;
  // ":5000" and "0.0.0.0:5000" listen on every address.
  const url =
    place.kind === 'local' ? `scgi://${value}` : `scgi://${value.replace(/^(?:0\.0\.0\.0|\[::\])?:/, '127.0.0.1:')}`;
  return { settings: { url }, wantsPassword: false };
}

/** `core.conf` is two JSON objects, one after the other; `auth` beside it has `user:password:level` a line. */
async function deluge(text: string, from: string): Promise<Told> {
  const at = text.indexOf('}') + 1;
  const settings = objectIn(text.slice(at));
  const port = numberIn(settings, 'daemon_port', 58846);
  const host = { host: `127.0.0.1:${port}` };
  let auth: string;
  try {
    auth = await readFile(join(from, '..', 'auth'), 'utf8');
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT')
      return { ...unusable(`${join(from, '..', 'auth')} cannot be read: ${messageOf(error)}`) };
    return { settings: host, wantsPassword: true };
  }
  const account = accountIn(auth);
  return { settings: { ...host, ...account }, wantsPassword: account === undefined };
}

function transmission(text: string): Told {
  const settings = objectIn(text);
  if (settings['rpc-enabled'] === false)
    return unusable('its rpc-enabled is false: set it to true while it does not run');
  const port = numberIn(settings, 'rpc-port', 9091);
  const base = typeof settings['rpc-url'] === 'string' ? settings['rpc-url'] : '/transmission/';
  const url = `http://${hostIn(settings['rpc-bind-address'])}:${port}${base.replace(/\/*$/, '/')}rpc`;
  if (settings['rpc-authentication-required'] !== true) return { settings: { url }, wantsPassword: false };
  const username = typeof settings['rpc-username'] === 'string' ? settings['rpc-username'] : '';
  const password = typeof settings['rpc-password'] === 'string' ? settings['rpc-password'] : '';
  // It hashes the password when it starts: "{" and 48 characters.
  const hashed = /^\{[0-9a-f]{40}/.test(password);
  return {
    settings: { url, ...(username === '' ? {} : { username }), ...(hashed || password === '' ? {} : { password }) },
    wantsPassword: hashed,
  };
}

function qbittorrent(text: string): Told {
  const settings = new Map<string, string>();
  let section = '';
  for (const line of text.split('\n')) {
    section = /^\[(.*)\]\s*$/.exec(line)?.[1] ?? section;
    const [, key, value = ''] = /^([^=]+)=(.*?)\s*$/.exec(line) ?? [];
    if (key !== undefined && section === 'Preferences') settings.set(key, value);
  }
  const of = (key: string): string | undefined => settings.get(`WebUI\\${key}`);
  // qbittorrent-nox has no other interface: without a line it is on.
  if (of('Enabled') === 'false') return unusable('its web interface is off: switch it on in its settings');
  const scheme = of('HTTPS\\Enabled') === 'true' ? 'https' : 'http';
  const url = `${scheme}://${hostIn(of('Address'))}:${of('Port') ?? '8080'}`;
  if (of('LocalHostAuth') === 'false') return { settings: { url }, wantsPassword: false };
  const username = of('Username') ?? 'admin';
  // Before 4.6.1 it came with a password that everyone knows.
  if (of('Password_PBKDF2') === undefined)
    return { settings: { url, username, password: 'adminadmin' }, wantsPassword: false };
  return { settings: { url, username }, wantsPassword: true };
}

/** An address that every interface is meant by is reached on this machine's own. */
function hostIn(address: unknown): string {
  if (typeof address !== 'string' || ['', '*', '0.0.0.0', '::'].includes(address)) return '127.0.0.1';
  return address.includes(':') ? `[${address}]` : address;
}

function objectIn(text: string): Record<string, unknown> {
  const value: unknown = JSON.parse(text);
  if (!isRecord(value)) throw new SyntaxError('no JSON object');
  return value;
}

function numberIn(settings: Record<string, unknown>, key: string, otherwise: number): number {
  const value = settings[key];
  return typeof value === 'number' && Number.isInteger(value) && value > 0 && value < 65_536 ? value : otherwise;
}
