/** Looks at the sources of tests, which lie on a local file system. */
import { fstatSync } from 'node:fs';
import { identityOf, isSame } from '../../src/source/identity.ts';
import type { SourceLooks } from '../../src/source/source-file.ts';

export const LOCAL_LOOKS: SourceLooks = {
  kindOf: async () => ({ local: true, trueCtime: true }),
  sameAs: (fd, identity) => isSame(identity, identityOf(fstatSync(fd, { bigint: true }))),
};
