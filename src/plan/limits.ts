/** Checks how much of a torrent may be missing. */
import type { TorrentMatch } from '../match/match.ts';

export interface AddLimits {
  /** Bytes. */
  readonly addLimitSize: number;
  readonly addLimitPercent: number;
}

export interface LimitVerdict {
  readonly accepted: boolean;
  /** Bytes of the torrent's files that have a source, pads left out. */
  readonly foundBytes: number;
  readonly missingBytes: number;
  /** 0 to 100. */
  readonly missingPercent: number;
}

/** Checks both limits: exceeding either refuses the torrent. A torrent that lacks nothing is never refused. */
export function checkLimits(
  match: Pick<TorrentMatch, 'wantedBytes' | 'missingBytes'>,
  limits: AddLimits,
): LimitVerdict {
  const { wantedBytes, missingBytes } = match;
  const missingPercent = missingBytes === 0 ? 0 : (missingBytes / wantedBytes) * 100;
  const accepted =
    missingBytes === 0 || (missingBytes <= limits.addLimitSize && missingPercent <= limits.addLimitPercent);
  return { accepted, foundBytes: wantedBytes - missingBytes, missingBytes, missingPercent };
}
