/** Checks where a client put a torrent: one in another folder would download everything again. */
import { type Endpoint, failure, quoted } from '../wire/exchange.ts';

/**
 * `spelling`: how the client spells a path in its replies, where that is not the path itself.
 * @throws AutotorrentError('CLIENT') where `put` is another folder than `wanted`; a `/` at the end is no difference
 */
export function requireDirectory(
  endpoint: Endpoint,
  put: unknown,
  wanted: string,
  spelling: (path: string) => string = (path) => path,
): void {
  const folder = withoutSlash(wanted);
  const told = withoutSlash(String(put));
  if (told !== folder && told !== spelling(folder)) throw misplaced(endpoint, told, folder);
}

export function misplaced(endpoint: Endpoint, put: string, wanted: string): Error {
  return failure(endpoint, `put the torrent into ${quoted(put)}, not into ${quoted(wanted)}`);
}

export function withoutSlash(path: string): string {
  return path.replace(/\/+$/, '');
}
