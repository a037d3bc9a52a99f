/**
 * Checks the JSON of requests and returns its meaning. All functions throw AutotorrentError('USAGE') for anything else.
 */
import { AutotorrentError } from '../errors.ts';
import { identityIn } from './case-codec.ts';
import type { DamagedSource, DueQuestion, Verified } from './served.ts';

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
    const epoch = member(value, 'epoch');
    const proof = typeof epoch === 'number' && Number.isSafeInteger(epoch) ? { epoch } : {};
    return { since, good: Buffer.from(good, 'base64'), bad: Buffer.from(bad, 'base64'), ...proof };
  }
  throw new AutotorrentError('USAGE', 'a verification must have "since" (a number), and "good" and "bad" (base64)');
}

/** Reads a discard request; undefined means the whole entry. */
export function discardedIn(value: unknown): readonly string[] | 'deleted' | undefined {
  const [files, deleted] = [member(value, 'files'), member(value, 'deleted')];
  if (deleted === true && files === undefined) return 'deleted';
  // An invalid request must not be taken for one that means everything.
  if (
    deleted === undefined &&
    typeof value === 'object' &&
    value !== null &&
    (files === undefined || isListOfText(files))
  )
    return files;
  throw new AutotorrentError(
    'USAGE',
    'a discard must be an object, with "files" (an array of paths), "deleted" (true) or neither',
  );
}

export function damageIn(value: unknown): readonly DamagedSource[] {
  const sources = member(value, 'sources');
  if (Array.isArray(sources)) {
    return sources.map((one): DamagedSource => {
      const [path, reason] = [member(one, 'path_bytes'), member(one, 'reason')];
      if (typeof path !== 'string' || typeof reason !== 'string') throw notDamage();
      const damaged = { path: Buffer.from(path, 'base64'), reason: reason.slice(0, LONGEST_REASON) };
      const hashed = member(one, 'hashed');
      if (hashed === undefined) return damaged;
      const pieces = member(hashed, 'pieces');
      if (!isListOfPieces(pieces)) throw notDamage();
      return { ...damaged, hashed: { pieces, file: identityIn(member(hashed, 'file')) } };
    });
  }
  throw notDamage();
}

const LONGEST_REASON = 200;

function isListOfPieces(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((piece) => Number.isSafeInteger(piece) && piece >= 0);
}

const notDamage = (): AutotorrentError =>
  new AutotorrentError('USAGE', '"sources" must be an array of objects with "path_bytes" (base64) and "reason"');

export function dueIn(query: URLSearchParams): DueQuestion {
  const days = Number(query.get('days') ?? Number.NaN);
  if (Number.isSafeInteger(days) && days >= 0) {
    return { days, all: query.get('all') === '1', again: query.get('again') === '1' };
  }
  throw new AutotorrentError('USAGE', '"days" must be a whole number');
}

export function releaseIn(value: unknown): {
  readonly mountPoints: readonly Buffer[];
  readonly links: readonly Buffer[];
} {
  const [mountPoints, links] = [member(value, 'mount_points'), member(value, 'links')];
  if (isListOfText(mountPoints) && isListOfText(links)) {
    const paths = (list: readonly string[]): Buffer[] => list.map((path) => Buffer.from(path, 'base64'));
    const [mounted, linked] = [paths(mountPoints), paths(links)];
    if (mounted.length > 0 && [...mounted, ...linked].every((path) => path[0] === 0x2f)) {
      return { mountPoints: mounted, links: linked };
    }
  }
  throw new AutotorrentError('USAGE', '"mount_points" and "links" must be arrays of absolute paths in base64');
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

function isListOfText(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}
