/** Reads where a Deluge daemon listens from its `core.conf`, and its account from the `auth` file beside it. */
import { dirname, join } from 'node:path';
import { readSmallFile } from '../../bytes/read-file.ts';
import { errnoOf, messageOf } from '../../errors.ts';
import type { LocalSettings, SettingsPlaces } from '../local-clients.ts';
import { objectIn, portIn } from '../wire/json.ts';
import { accountIn, delugeFolders, LARGEST_AUTH_FILE } from './account.ts';

export function delugeSettingsFiles({ configHome, root }: SettingsPlaces): string[] {
  return delugeFolders(configHome, root).map((folder) => join(folder, 'core.conf'));
}

/** `text` is two JSON objects, one after the other, the second with the settings. @throws SyntaxError */
export async function delugeSettings(text: string, from: string): Promise<LocalSettings> {
  const settings = objectIn(text.slice(text.indexOf('}') + 1));
  const host = { host: `127.0.0.1:${portIn(settings, 'daemon_port', 58846)}` };
  const file = join(dirname(from), 'auth');
  let auth: string;
  try {
    auth = readSmallFile(file, LARGEST_AUTH_FILE).toString();
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') return { problem: `${file} cannot be read: ${messageOf(error)}` };
    return { settings: host, wantsPassword: true };
  }
  const account = accountIn(auth);
  return { settings: { ...host, ...account }, wantsPassword: account === undefined };
}
