/** Reads where a Transmission's RPC is, and its account, from its `settings.json`. */
import { join } from 'node:path';
import type { LocalSettings, SettingsPlaces } from '../local-clients.ts';
import { objectIn, portIn } from '../wire/json.ts';
import { reachedAt } from '../wire/own-host.ts';

export function transmissionSettingsFiles({ configHome, root }: SettingsPlaces): string[] {
  return [
    join(configHome, 'transmission-daemon', 'settings.json'),
    join(configHome, 'transmission', 'settings.json'),
    join(root, 'etc/transmission-daemon/settings.json'),
    join(root, 'var/lib/transmission-daemon/.config/transmission-daemon/settings.json'),
  ];
}

/** @throws SyntaxError where `text` is no JSON object */
export function transmissionSettings(text: string): LocalSettings {
  const settings = objectIn(text);
  if (settings['rpc-enabled'] === false) {
    return { problem: 'its rpc-enabled is false: set it to true while it does not run' };
  }
  const port = portIn(settings, 'rpc-port', 9091);
  const base = typeof settings['rpc-url'] === 'string' ? settings['rpc-url'] : '/transmission/';
  const url = `http://${reachedAt(settings['rpc-bind-address'])}:${port}${base.replace(/\/*$/, '/')}rpc`;
  if (settings['rpc-authentication-required'] !== true) return { settings: { url }, wantsPassword: false };
  const username = typeof settings['rpc-username'] === 'string' ? settings['rpc-username'] : '';
  const password = typeof settings['rpc-password'] === 'string' ? settings['rpc-password'] : '';
  // Transmission replaces the password by a hash when it starts: "{" and 48 characters.
  const hashed = /^\{[0-9a-f]{40}/.test(password);
  return {
    settings: { url, ...(username === '' ? {} : { username }), ...(hashed || password === '' ? {} : { password }) },
    wantsPassword: hashed,
  };
}
