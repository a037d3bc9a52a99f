/** `ignore_files`: files that the scan mode `normal` does not use. It uses files of releases, as the original does. */
import picomatch from 'picomatch';
import { decodeName } from '../names.ts';

/** Matches a file's name and the absolute path of its folder, both byte strings. */
export type IgnoreTest = (name: string, folder: string) => boolean;

const compile = (pattern: string): ((text: string) => boolean) =>
  picomatch(pattern, { nocase: true, dot: true, windows: false });
const decode = (bytes: string): string => decodeName(Buffer.from(bytes, 'latin1'));

/**
 * A pattern without `/` is matched with the file's name, one with `/` with its path: from the root if it begins with
 * `/`, else from any folder. Case does not count; a leading dot is nothing special. Undefined if there is no pattern.
 */
export function createIgnoreTest(patterns: readonly string[]): IgnoreTest | undefined {
  const byName = patterns.filter((p) => p !== '' && !p.includes('/')).map(compile);
  const byPath = patterns
    .filter((p) => p.includes('/'))
    .map((p) => compile(p.startsWith('/') || p.startsWith('**/') ? p : `**/${p}`));
  if (byName.length + byPath.length === 0) return undefined;
  return (name, folder) => {
    const text = decode(name);
    if (byName.some((matches) => matches(text))) return true;
    if (byPath.length === 0) return false;
    const path = `${folder === '/' ? '' : decode(folder)}/${text}`;
    return byPath.some((matches) => matches(path));
  };
}
