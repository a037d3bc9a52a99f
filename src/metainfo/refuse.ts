import { AutotorrentError } from '../errors.ts';

/** Every refusal of a .torrent has this form; `reason` goes on after "not a valid torrent: ". */
export function refuse(reason: string, hint?: string): never {
  throw new AutotorrentError('TORRENT', `not a valid torrent: ${reason}`, { hint });
}
