/** The server's looks at its open sources: of what kind their file systems are, and whether a file is what it was. */
import type { CLibrary } from '../native/c-library.ts';
import { loadStatx } from '../native/statx.ts';
import { type FileSystems, openFileSystems } from './file-system.ts';
import { Looks } from './looks.ts';
import type { SourceLooks } from './source-file.ts';

export function sourceLooks(library: CLibrary, fileSystems: FileSystems = openFileSystems(library)): SourceLooks {
  const looks = new Looks(loadStatx(library));
  return {
    kindOf: async (path, dev) => await fileSystems.kindOf(path, dev),
    sameAs: (fd, identity) => looks.sameAs(fd, identity),
  };
}
