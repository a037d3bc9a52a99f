/** Recognises qBittorrent's answers that have a text and no code. Seen with 4.5.2 (API 2.8.19). */

/** The whole answer of `torrents/add` to a torrent that it refuses or has, and of `auth/login` to a wrong password. */
export const FAILS = 'Fails.';
/** The whole answer of `auth/login` to the right password; since 5.2 that is status 204 without a text. */
export const OK = 'Ok.';

/** A login is refused (403) since too many failed before: "…your IP address has been banned…" */
export function isBan(text: string): boolean {
  return /banned/i.test(text);
}
