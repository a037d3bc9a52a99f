/** A release: files that are shared as one torrent. */

export interface ReleaseFile {
  /** Path below the release's folder, or below `parent` if it has none; `/` separates. */
  readonly path: string;
  readonly size: number;
}

export interface Release {
  /** `scene`: its files belong together (volumes, discs). `single`: one file without a folder. */
  readonly kind: 'scene' | 'normal' | 'single';
  /** The folder of the collection that holds it. */
  readonly parent: string;
  /** Its folder's name; undefined for a single file. */
  readonly name: string | undefined;
  readonly files: readonly ReleaseFile[];
}

/** Gives the paths of a release's files below the collection's top, in the order of its files. */
export function pathsOf({ parent, name, files }: Release): string[] {
  return files.map(({ path }) => [parent, ...(name === undefined ? [] : [name]), path].join('/'));
}
