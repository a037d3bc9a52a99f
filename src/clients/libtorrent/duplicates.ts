/**
 * The names that libtorrent gives files whose paths it takes for one (`resolve_duplicate_filenames`, seen with 2.0.8).
 *
 * Paths that differ in the case of a to z alone are one path to it, and so are a file and a folder. The first file keeps
 * its path; a later one gets the first free number before its extension: `README.1.txt`. Deluge reports these names.
 * qBittorrent reports and opens the torrent's own ones until it is started again, and these from then on.
 */
import type { Metainfo } from '../../metainfo/metainfo.ts';
import type { NamedFile } from '../adding/names.ts';

/** Gives the new path of each file that gets one, by index; undefined where none does. `files`: all of the torrent's. */
export function namesAgainstDuplicates(
  { multi, files: own }: Pick<Metainfo, 'multi' | 'files'>,
  files: readonly NamedFile[],
): readonly (readonly string[] | undefined)[] | undefined {
  if (!multi) return undefined;
  const taken = new Set<string>();
  for (const { path } of files) {
    let folder = '';
    for (const name of path.slice(0, -1)) taken.add((folder += `/${lowered(name)}`));
  }
  /** The number that was given last, by path: lower ones are taken. A torrent may have a path in a million spellings. */
  const numbers = new Map<string, number>();
  let renamed: (readonly string[] | undefined)[] | undefined;
  for (const [i, { path }] of files.entries()) {
    const key = keyOf(path);
    if (!taken.has(key) || own[i]?.pad === true) {
      taken.add(key);
      continue;
    }
    renamed ??= files.map(() => undefined);
    const numbered = free(path, taken, (numbers.get(key) ?? 0) + 1);
    numbers.set(key, numbered.number);
    renamed[i] = numbered.path;
  }
  return renamed;
}

/** Gives the first path that is free, of those with a number from `first` on, and takes it. */
function free(
  path: readonly string[],
  taken: Set<string>,
  first: number,
): { readonly path: readonly string[]; readonly number: number } {
  const folder = path.slice(0, -1);
  const name = path.at(-1) ?? '';
  const dot = name.lastIndexOf('.');
  const [base, extension] = dot === -1 ? [name, ''] : [name.slice(0, dot), name.slice(dot)];
  for (let number = first; ; number++) {
    const numbered = [...folder, `${base}.${number}${extension}`];
    const key = keyOf(numbered);
    if (taken.has(key)) continue;
    taken.add(key);
    return { path: numbered, number };
  }
}

const keyOf = (path: readonly string[]): string => path.map((name) => `/${lowered(name)}`).join('');

function lowered(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());
}
