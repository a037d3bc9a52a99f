/**
 * Checks the JSON of requests and returns its meaning. All functions throw AutotorrentError('USAGE') for anything else.
 */
import { AutotorrentError } from '../errors.ts';
import type { Verified } from './served.ts';

/** Reads one line of a names request; undefined keeps the torrent's own name. */
export function nameLine(value: unknown): readonly string[] | undefined {
  if (value === null) return undefined;
  if (Array.isArray(value) && value.length > 0 && value.every((part) => typeof part === 'string')) return value;
  throw new AutotorrentError('USAGE', 'each line of names must be a path (an array of text) or null');
}

export function infoHashesIn(value: unknown): readonly string[] {
  const hashes = member(value, 'info_hashes');
  if (isListOfText(hashes)) return hashes;
  throw new AutotorrentError('USAGE', '"info_hashes" must be an array of text');
}

export function verifiedIn(value: unknown): Verified {
  const [since, good, bad] = [member(value, 'since'), member(value, 'good'), member(value, 'bad')];
  if (typeof since === 'number' && Number.isSafeInteger(since) && typeof good === 'string' && typeof bad === 'string') {
    return { since, good: Buffer.from(good, 'base64'), bad: Buffer.from(bad, 'base64') };
  }
  throw new AutotorrentError('USAGE', 'a verification must have "since" (a number), and "good" and "bad" (base64)');
}

/** Reads a discard request; undefined means the whole entry. */
export function discardedPathsIn(value: unknown): readonly string[] | undefined {
  const files = member(value, 'files');
  // An invalid request must not be taken for one that means everything.
  if (typeof value === 'object' && value !== null && (files === undefined || isListOfText(files))) return files;
  throw new AutotorrentError('USAGE', 'a discard must be an object; its "files", if present, an array of paths');
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

function isListOfText(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}
