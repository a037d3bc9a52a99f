/** How much of a torrent is hashed: `verify` of the configuration or the command line, decided for each torrent. */
import type { TorrentClient } from '../clients/client.ts';
import type { Config } from '../config/config.ts';
import type { MatchRequest } from '../match/match-torrents.ts';
import type { Metainfo } from '../metainfo/metainfo.ts';

export type VerifyEffort = Required<Pick<MatchRequest, 'verify' | 'spares'>>;

/**
 * `auto` hashes all of a torrent where the client then hashes nothing, so that every byte is read once, by whoever reads it
 * faster. Where the client checks in any case, more than a probe would read every byte twice: with a client that takes no
 * word for this torrent, with `fast_resume = never`, which tells it nothing, and without a client, since whatever gets
 * the entry later is told nothing either. With `fast_resume = trust` nobody is to hash: the client believes a probe.
 * Second copies are hashed for an explicit `full` only: the torrent would wait for them.
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
