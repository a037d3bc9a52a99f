/** Reads where a qBittorrent's web interface is from its `qBittorrent.conf`. */
import { join } from 'node:path';
import type { LocalSettings, SettingsPlaces } from '../local-clients.ts';
import { reachedAt } from '../wire/own-host.ts';

export function qbittorrentSettingsFiles({ configHome }: SettingsPlaces): string[] {
  return [join(configHome, 'qBittorrent', 'qBittorrent.conf')];
}

export function qbittorrentSettings(text: string): LocalSettings {
  const settings = preferencesIn(text);
  // qbittorrent-nox has no other interface: it is on where no line says otherwise.
  if (settings.get('Enabled') === 'false') {
    return { problem: 'its web interface is off: switch it on in its settings' };
  }
  const scheme = settings.get('HTTPS\\Enabled') === 'true' ? 'https' : 'http';
  const url = `${scheme}://${reachedAt(settings.get('Address'))}:${settings.get('Port') ?? '8080'}`;
  if (settings.get('LocalHostAuth') === 'false') return { settings: { url }, wantsPassword: false };
  const username = settings.get('Username') ?? 'admin';
  // Before 4.6.1 it came with a password that everyone knows.
  return settings.has('Password_PBKDF2')
    ? { settings: { url, username }, wantsPassword: true }
    : { settings: { url, username, password: 'adminadmin' }, wantsPassword: false };
}

/** Characters of a line that is looked at: no setting that is read here takes more. */
const LONGEST_LINE = 4096;

/** The lines `WebUI\KEY=VALUE` of the section [Preferences], by KEY. */
function preferencesIn(text: string): Map<string, string> {
  const found = new Map<string, string>();
  let section = '';
  for (const line of text.split('\n')) {
    if (line.length > LONGEST_LINE) continue;
    section = /^\[(.*)\]\s*$/.exec(line)?.[1] ?? section;
    const [, key, value = ''] = /^WebUI\\([^=]+)=(.*?)\s*$/.exec(line) ?? [];
    if (key !== undefined && section === 'Preferences') found.set(key, value);
  }
  return found;
}
