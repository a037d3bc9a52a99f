/** How much of a torrent is hashed before it is believed: `verify` of the configuration, decided for each torrent. */
import type { TorrentClient } from '../clients/client.ts';
import type { Config } from '../config/config.ts';
import type { VerifyGoal } from '../match/match.ts';
import type { Metainfo } from '../metainfo/metainfo.ts';

/**
 * `auto` hashes all of a torrent where the client then hashes nothing, so that every byte is read once, by whoever reads it
 * faster. Where the client checks in any case, more than a probe would read every byte twice: with a client that takes no
 * word for this torrent, with `fast_resume = never`, which tells it nothing, and without a client, since whatever gets
 * the entry later is told nothing either. With `fast_resume = trust` nobody is to hash: the client believes a probe.
 *
 * `client`: undefined without one, and in a dry run.
 */
export function verifyGoal(
  { verify, fastResume }: Pick<Config, 'verify' | 'fastResume'>,
  client: Pick<TorrentClient, 'takesWord'> | undefined,
  metainfo: Metainfo,
): VerifyGoal {
  if (verify !== 'auto') return verify;
  if (client === undefined || fastResume !== 'verified') return 'probe';
  if (client.takesWord(metainfo, false)) return 'full';
  return client.takesWord(metainfo, true) ? 'full-if-whole' : 'probe';
}
