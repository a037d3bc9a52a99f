/** The names under which a client looks for a torrent's files, read from its reply and checked: a reply is hostile. */
import type { Metainfo } from '../../metainfo/metainfo.ts';
import { type Endpoint, failure, quoted } from '../wire/exchange.ts';
import { isRecord } from '../wire/json.ts';

export interface NamedFile {
  /** Components below the download directory. */
  readonly path: readonly string[];
  readonly length: number;
}

/** Bytes of a path: Linux takes no longer one. */
const LONGEST_PATH = 4096;

/** Splits a path below the download directory into components. @throws where it could leave that directory, or is too long */
export function pathComponents(endpoint: Endpoint, path: string): string[] {
  if (Buffer.byteLength(path) > LONGEST_PATH)
    throw failure(endpoint, `answered with the unusable path ${quoted(path)}`);
  const components = path.split('/');
  for (const name of components) {
    if (name === '' || name === '.' || name === '..' || name.includes('\0') || Buffer.byteLength(name) > 255) {
      throw failure(endpoint, `answered with the unusable path ${quoted(path)}`);
    }
  }
  return components;
}

/** Reads a client's list of files: an object each, with path and length under the client's `keys`. @throws */
export function filesIn(
  endpoint: Endpoint,
  list: unknown,
  keys: { readonly path: string; readonly length: string },
): NamedFile[] {
  if (!Array.isArray(list)) throw failure(endpoint, 'answered without a list of files');
  return list.map((file: unknown): NamedFile => {
    const path = isRecord(file) ? file[keys.path] : undefined;
    const length = isRecord(file) ? file[keys.length] : undefined;
    if (typeof path !== 'string' || typeof length !== 'number') {
      throw failure(endpoint, 'answered with a file that has no path or no length');
    }
    return { path: pathComponents(endpoint, path), length };
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
