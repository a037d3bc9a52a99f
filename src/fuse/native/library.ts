/**
 * Loads fuse-native, which is linked with libfuse.so.2, a library that a fresh machine lacks. npm brings one (package
 * fuse-shared-library-linux). Loaded globally first, it is the one that the dynamic linker finds under that name.
 *
 * Both packages are optional: if they do not install, everything but `mount` works.
 */
import { createRequire } from 'node:module';
import type Fuse from 'fuse-native';
import { AutotorrentError, messageOf } from '../../errors.ts';
import type { ProcessCalls } from '../../native/process.ts';

type Require = (name: string) => unknown;

/** Loads it. @throws AutotorrentError('MOUNT') with how to get the missing part */
export function loadFuseNative(
  calls: Pick<ProcessCalls, 'loadGlobally'>,
  require: Require = createRequire(import.meta.url),
): typeof Fuse {
  const failures: string[] = [];
  const bundled = (): string => (require('fuse-shared-library') as { readonly lib: string }).lib;
  const libraries = [bundled, () => 'libfuse.so.2'];
  for (const library of libraries) {
    try {
      if (calls.loadGlobally === undefined) throw new Error('koffi is not available');
      calls.loadGlobally(library());
      break;
    } catch (error) {
      failures.push(firstLineOf(error));
    }
  }
  try {
    return require('fuse-native') as typeof Fuse;
  } catch (error) {
    failures.push(firstLineOf(error));
    throw new AutotorrentError('MOUNT', `the FUSE library cannot be loaded: ${failures.join('; ')}`, {
      hint: hintFor(error),
      cause: error,
    });
  }
}

/** Says what to do, by the step that failed. fuse-native itself throws no code if it finds no binary for this machine. */
function hintFor(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'MODULE_NOT_FOUND') {
    return 'The package fuse-native is not installed. Run npm ci again (npm install, where you installed it so), without --omit=optional.';
  }
  if (code === 'ERR_DLOPEN_FAILED') {
    return 'Install libfuse.so.2 (Debian, Ubuntu: apt install libfuse2), then run npm ci again.';
  }
  return 'fuse-native has no prebuilt binary for this machine: native-notes/fuse-native.md says how to compile it.';
}

/** Drops the list of requiring modules, which Node adds to its message about a missing module. */
const firstLineOf = (error: unknown): string => messageOf(error).split('\n', 1)[0] ?? '';
