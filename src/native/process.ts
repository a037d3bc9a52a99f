/** Calls on this process: _exit(2), dlopen(3). */
import type { CLibrary } from './c-library.ts';

export interface ProcessCalls {
  /**
   * Ends the process at once, without freeing anything (_exit(2)). Threads of libfuse may still take requests (for a file of a
   * detached mount that is open elsewhere), and would find Node's memory freed: SIGSEGV. Close everything before.
   */
  readonly exitNow?: (code: number) => void;
  /** Loads a library whose symbols later libraries can use (RTLD_GLOBAL). @throws if it cannot be loaded */
  readonly loadGlobally?: (library: string) => void;
}

/**
 * Keeps the handles of globally loaded libraries for the life of this process: koffi closes a library when its handle is
 * garbage-collected, and its symbols would be gone.
 */
const loadedGlobally: unknown[] = [];

export function loadProcessCalls(library: CLibrary): ProcessCalls {
  const exitNow = library.ability('the server may crash when it ends', ({ func }) => {
    const exit = func('void _exit(int status)');
    return (code: number): void => void exit(code);
  });
  const loadGlobally = library.ability(
    'libfuse is looked for by the dynamic linker alone',
    ({ koffi }) =>
      (path: string): void =>
        void loadedGlobally.push(koffi.load(path, { global: true })),
  );
  return { ...(exitNow === undefined ? {} : { exitNow }), ...(loadGlobally === undefined ? {} : { loadGlobally }) };
}
