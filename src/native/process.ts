/** Calls on this process: _exit(2), dlopen(3). */
import type { CLibrary } from './c-library.ts';

export interface ProcessCalls {
  /**
   * Ends the process without taking it down piece by piece (_exit(2)). Threads of libfuse may still take requests (a file
   * of a detached mount that is open elsewhere), and would find Node's memory freed: SIGSEGV. Close everything before.
   */
  readonly exitNow?: (code: number) => void;
  /** Loads a library for all that is loaded afterwards (RTLD_GLOBAL). @throws where it cannot be loaded */
  readonly loadGlobally?: (library: string) => void;
}

/**
 * The handles of what was loaded globally, for as long as this process runs: koffi closes a library once its handle is
 * garbage, and nothing would find it any more.
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
