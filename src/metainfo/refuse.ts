import { AutotorrentError } from '../errors.ts';

/** Throws the refusal of a .torrent; `reason` continues the sentence "not a valid torrent: ". */
export function refuse(reason: string, hint?: string): never {
  throw new AutotorrentError('TORRENT', `not a valid torrent: ${reason}`, { hint });
}
