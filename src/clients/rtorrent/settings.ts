/** Reads where an rTorrent listens from its `rtorrent.rc`. */
import { join } from 'node:path';
import type { LocalSettings, SettingsPlaces } from '../local-clients.ts';
import { scgiPlaceOf } from './rc.ts';

export function rtorrentSettingsFiles({ home, configHome }: SettingsPlaces): string[] {
  return [join(configHome, 'rtorrent', 'rtorrent.rc'), join(home, '.rtorrent.rc')];
}

export function rtorrentSettings(text: string, home: string): LocalSettings {
  const place = scgiPlaceOf(text);
  if (place === undefined) {
    return { problem: 'it opens no SCGI endpoint: add network.scgi.open_local = /path/of/a.socket to it' };
  }
  if (place.value === undefined) {
    return { problem: `line ${place.line} computes where it listens: write that place as url = scgi://… yourself` };
  }
  const value =
    place.kind === 'local'
      ? place.value.replace(/^~(?=\/)/, home)
      : // ":5000" and "0.0.0.0:5000" listen on every address.
        place.value.replace(/^(?:0\.0\.0\.0|\[::\])?:/, '127.0.0.1:');
  return { settings: { url: `scgi://${value}` }, wantsPassword: false };
}
