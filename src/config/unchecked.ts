/**
 * The combination that would hand out any file of a guessed name and size: with `verify = none` nothing of it is hashed, and
 * with `fast_resume = trust` the client checks nothing, so it sends the bytes to whoever asks.
 */
import type { Config } from './config.ts';

/** The reason, which follows the place where the combination was found. */
export const UNCHECKED =
  'with verify = none and fast_resume = trust nobody checks anything: a peer could download any file of yours whose ' +
  'name and size its torrent guesses';

export function isUnchecked({ verify, fastResume }: Pick<Config, 'verify' | 'fastResume'>): boolean {
  return verify === 'none' && fastResume === 'trust';
}
