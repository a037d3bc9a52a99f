/** Decides for each torrent how much of it is hashed, by `verify` of the configuration or the command line. */
import type { TorrentClient } from '../clients/client.ts';
import type { Config } from '../config/config.ts';
import type { MatchRequest } from '../match/match-torrents.ts';
import type { Metainfo } from '../metainfo/metainfo.ts';

export type VerifyEffort = Required<Pick<MatchRequest, 'verify' | 'spares'>>;

/**
 * `auto` hashes all of a torrent if the client then hashes nothing, so that every byte is read once, by the faster reader.
 * If the client checks in any case, hashing more than a probe would read every byte twice. That is so for a client that does
 * not take our word for this torrent, for `fast_resume = never`, which tells it nothing, and without a client, since a client
 * that gets the entry later is told nothing either. With `fast_resume = trust` nobody should hash: a probe is enough.
 * Only an explicit `full` hashes second copies: the torrent would wait for them.
 *
 * `client`: undefined without one, and in a dry run.
 */
export function verifyEffort(
  { verify, fastResume }: Pick<Config, 'verify' | 'fastResume'>,
  client: Pick<TorrentClient, 'takesWord'> | undefined,
  metainfo: Metainfo,
): VerifyEffort {
  if (verify !== 'auto') return { verify, spares: true };
  const auto = (level: VerifyEffort['verify']): VerifyEffort => ({ verify: level, spares: false });
  if (client === undefined || fastResume !== 'verified') return auto('probe');
  if (client.takesWord(metainfo, false)) return auto('full');
  return auto(client.takesWord(metainfo, true) ? 'full-if-whole' : 'probe');
}
