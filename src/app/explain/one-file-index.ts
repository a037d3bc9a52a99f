/** A collection of one file, to match torrents with that file alone. */
import type { CollectionFile, CollectionIndex, NameAndRange, NameAndSize, SizeRange } from '../../collection/index.ts';
import { normaliseName } from '../../collection/names.ts';

export function indexOfOneFile(path: Buffer, size: number): CollectionIndex {
  const name = path.subarray(path.lastIndexOf(0x2f) + 1);
  const normal = normaliseName(name);
  const file: CollectionFile = { folder: 0, path, name, size, release: null };
  const fits = (named: string, min: number, max: number): CollectionFile[] =>
    normaliseName(named) === normal && size >= min && size <= max ? [file] : [];
  const none = <T>(questions: readonly unknown[]): Promise<T[][]> => Promise.resolve(questions.map(() => []));
  return {
    version: 'one file',
    byNameAndSize: async (questions: readonly NameAndSize[]) =>
      questions.map((one) => fits(one.name, one.size, one.size)),
    byName: async (questions: readonly NameAndRange[]) => questions.map((one) => fits(one.name, one.min, one.max)),
    bySize: async (questions: readonly SizeRange[]) =>
      questions.map(({ min, max }) => (size >= min && size <= max ? [file] : [])),
    archived: none,
    releases: none,
    folders: none,
    byInode: none,
    leftOut: none,
    awayDisks: async (paths) => paths.map(() => null),
    known: async (paths) => paths.map(() => ({ disk: null, kind: 'nothing', builtMs: 0 })),
    trees: async (ids) => ids.map((id) => ({ root: { id, path: Buffer.alloc(0) }, name: Buffer.alloc(0), files: [] })),
    close: async () => {},
  };
}
