/**
 * Loading fuse-native, which is linked against libfuse.so.2: a library that a fresh machine lacks. npm brings one
 * (package fuse-shared-library-linux); loaded globally first, it is what the dynamic linker finds under that name.
 */
import { createRequire } from 'node:module';
import type Fuse from 'fuse-native';
import { AutotorrentError, messageOf } from '../../errors.ts';
import type { Libc } from '../../native/libc.ts';

/** Throws AutotorrentError('MOUNT') with how to get what is missing. */
export function loadFuseNative(libc: Libc): typeof Fuse {
  const require = createRequire(import.meta.url);
  const failures: string[] = [];
  const bundled = (): string => {
    const { lib }: { lib: string } = require('fuse-shared-library');
    return lib;
  };
  const libraries = [bundled, () => 'libfuse.so.2'];
  for (const library of libraries) {
    try {
      if (libc.loadGlobally === undefined) throw new Error('koffi is not available');
      libc.loadGlobally(library());
      break;
    } catch (error) {
      failures.push(messageOf(error));
    }
  }
  try {
    const loaded: typeof Fuse = require('fuse-native');
    return loaded;
  } catch (error) {
    failures.push(messageOf(error));
    throw new AutotorrentError('MOUNT', `the FUSE library cannot be loaded: ${failures.join('; ')}`, {
      hint: 'Install libfuse.so.2 (Debian, Ubuntu: apt install libfuse2), then run npm ci again.',
      cause: error,
    });
  }
}
