/** The names under which a client looks for a torrent's files, read from its reply and checked: a reply is hostile. */
import { AutotorrentError } from '../../errors.ts';
import type { Metainfo } from '../../metainfo/metainfo.ts';
import { DISK_NAME_BYTES, isLonger, OPENED_PATH_BYTES, SHOWN_NAME_BYTES } from '../../name-limits.ts';
import type { AddRequest } from '../client.ts';
import { type Endpoint, failure, quoted } from '../wire/exchange.ts';
import { isRecord } from '../wire/json.ts';

export interface NamedFile {
  /** Components below the download directory. */
  readonly path: readonly string[];
  readonly length: number;
}

/** Transmission reads bytes of a torrent's name that are not UTF-8 as Latin-1, and that as Latin-1 again. */
const MOST_BYTES_OF_ONE = 4;

/** Splits a path below the download directory into components. @throws where it could leave that directory, or is too long */
export function pathComponents(asked: Asked, path: string): string[] {
  const components = path.split('/');
  for (const name of components) {
    if (name === '' || name === '.' || name === '..' || name.includes('\0') || asked.isMadeUp(name)) {
      throw failure(asked.endpoint, `answered with the unusable path ${quoted(path)}`);
    }
  }
  requireOpenable(asked, path);
  return components;
}

/** Who answered, about what, and where it looks for it. */
export class Asked {
  readonly endpoint: Endpoint;
  readonly directory: string;
  readonly metainfo: Metainfo;
  #longest: number | undefined;

  constructor(endpoint: Endpoint, { metainfo, directory }: Pick<AddRequest, 'metainfo' | 'directory'>) {
    this.endpoint = endpoint;
    this.metainfo = metainfo;
    this.directory = directory;
  }

  /** Tells of a name that no disk takes whether the torrent has none from which a client could make it. */
  isMadeUp(name: string): boolean {
    if (!isLonger(name, DISK_NAME_BYTES)) return false;
    this.#longest ??= longestName(this.metainfo);
    return Buffer.byteLength(name) > this.#longest * MOST_BYTES_OF_ONE;
  }
}

/** The bytes of the longest name in a torrent. */
function longestName({ rawName, files }: Metainfo): number {
  let longest = rawName.length;
  for (const { path, rawPath } of files) {
    for (const name of rawPath) longest = Math.max(longest, name.length);
    for (const name of path) longest = Math.max(longest, Buffer.byteLength(name));
  }
  return longest;
}

/**
 * Refuses a path below `directory` that this client looks for and the kernel refuses to look up.
 * @throws AutotorrentError('UNSUPPORTED')
 */
function requireOpenable({ endpoint: { client }, directory }: Asked, path: string): void {
  const bytes = Buffer.byteLength(directory) + 1 + Buffer.byteLength(path);
  if (bytes > OPENED_PATH_BYTES) {
    throw tooLong(
      `${client} looks for a path of ${bytes} bytes, ${quoted(path)}: Linux opens none of over ${OPENED_PATH_BYTES}`,
    );
  }
  if (!isLonger(path, SHOWN_NAME_BYTES)) return;
  const name = path.split('/').find((one) => isLonger(one, SHOWN_NAME_BYTES));
  if (name === undefined) return;
  throw tooLong(
    `${client} looks for a name of ${Buffer.byteLength(name)} bytes, ${quoted(name)}: ` +
      `a mount shows names of up to ${SHOWN_NAME_BYTES} bytes, and opening it fails with "File name too long"`,
  );
}

function tooLong(what: string): AutotorrentError {
  const hint = 'Deluge and qBittorrent cut each name to 240 bytes: use one of them for this torrent.';
  return new AutotorrentError('UNSUPPORTED', what, { hint });
}

/** Reads a client's list of files: an object each, with path and length under the client's `keys`. @throws */
export function filesIn(
  asked: Asked,
  list: unknown,
  keys: { readonly path: string; readonly length: string },
): NamedFile[] {
  const { endpoint } = asked;
  if (!Array.isArray(list)) throw failure(endpoint, 'answered without a list of files');
  return list.map((file: unknown): NamedFile => {
    const path = isRecord(file) ? file[keys.path] : undefined;
    const length = isRecord(file) ? file[keys.length] : undefined;
    if (typeof path !== 'string' || typeof length !== 'number') {
      throw failure(endpoint, 'answered with a file that has no path or no length');
    }
    return { path: pathComponents(asked, path), length };
  });
}

/**
 * The value for `AddResult.names`: `files` by index where any name differs from the torrent's own, else undefined.
 * @throws where the list is not that of the torrent, or two of its files have one name
 */
export function changedNames(
  endpoint: Endpoint,
  metainfo: Metainfo,
  files: readonly NamedFile[],
): readonly (readonly string[])[] | undefined {
  if (files.length !== metainfo.files.length || files.some((file, i) => file.length !== metainfo.files[i]?.length)) {
    throw failure(endpoint, 'lists other files than the torrent has');
  }
  const seen = new Map<string, number>();
  let same = true;
  for (const [i, { path }] of files.entries()) {
    const shown = path.join('/');
    const first = seen.get(shown);
    if (first !== undefined && !arePadsAlike(metainfo, first, i)) {
      throw failure(
        endpoint,
        `would look for two files of the torrent under one name: ${quoted(shown)}`,
        'Use another client for this torrent.',
      );
    }
    seen.set(shown, i);
    same &&= shown === ownPath(metainfo, i).join('/');
  }
  return same ? undefined : files.map(({ path }) => path);
}

/** The torrent's own components of a file, below the download directory. */
export function ownPath({ multi, name, files }: Metainfo, index: number): readonly string[] {
  const path = files[index]?.path ?? [];
  return multi ? [name, ...path] : path;
}

/** Pad files of one length may share a path: each is the same zeros. */
function arePadsAlike({ files }: Metainfo, one: number, other: number): boolean {
  const [a, b] = [files[one], files[other]];
  return a?.pad === true && b?.pad === true && a.length === b.length;
}
