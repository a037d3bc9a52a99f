/** The names under which a client looks for files, read from its reply and checked: a reply is hostile input. */
import type { Metainfo } from '../../metainfo/metainfo.ts';
import { type Endpoint, failure, quoted } from '../wire/exchange.ts';

/** A path below the download directory as components; throws where it could leave that directory. */
export function pathComponents(endpoint: Endpoint, path: string): string[] {
  const components = path.split('/');
  for (const name of components) {
    if (name === '' || name === '.' || name === '..' || name.includes('\0') || Buffer.byteLength(name) > 255) {
      throw failure(endpoint, `answered with the unusable path ${quoted(path)}`);
    }
  }
  return components;
}

export interface NamedFile {
  /** Components below the download directory. */
  readonly path: readonly string[];
  readonly length: number;
}

/**
 * What `AddResult.names` is to be: `files` by index where any name differs from the torrent's own, else undefined.
 * Throws where the list is not that of the torrent.
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
    const own = metainfo.files[i]?.path ?? [];
    same &&= shown === (metainfo.multi ? [metainfo.name, ...own] : own).join('/');
  }
  return same ? undefined : files.map(({ path }) => path);
}

/** Pad files of one length may share a path: each is the same zeros. */
function arePadsAlike({ files }: Metainfo, one: number, other: number): boolean {
  const [a, b] = [files[one], files[other]];
  return a?.pad === true && b?.pad === true && a.length === b.length;
}
