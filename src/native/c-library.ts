/**
 * The C library, through koffi: declares the functions that Node has no call for.
 *
 * Nothing here is needed for correctness, only for speed or cleanliness. Each ability is loaded on its own: if its function
 * is missing, that ability alone is absent, and one line of the log says what is lost. A family of calls (`files.ts`,
 * `descriptors.ts`, `mounting.ts`, `process.ts`) is an object of optional functions.
 *
 * Native code is called with memory addresses: a family checks lengths before each call.
 */
import { createRequire } from 'node:module';
import type * as KoffiModule from 'koffi';
import { messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';

export type Koffi = typeof KoffiModule;

/** The functions of the C library and of everything else that Node is linked with. */
export interface LoadedLibrary {
  readonly koffi: Koffi;
  /** Declares a function by its prototype. @throws if there is none of this name */
  readonly func: ReturnType<Koffi['load']>['func'];
}

/** @throws if the package, or its binary for this machine, is not installed */
export function loadKoffi(): Koffi {
  // Not an import: without koffi only speed is lost.
  return createRequire(import.meta.url)('koffi') as Koffi;
}

export class CLibrary {
  readonly #loaded: LoadedLibrary | undefined;
  readonly #logger: Logger;

  constructor(loaded: LoadedLibrary | undefined, logger: Logger) {
    this.#loaded = loaded;
    this.#logger = logger;
  }

  /** Gives the result of `build`, or nothing if it throws. `loss` says what then does not work; the log adds the reason. */
  ability<T>(loss: string, build: (library: LoadedLibrary) => T): T | undefined {
    if (this.#loaded === undefined) return undefined;
    try {
      return build(this.#loaded);
    } catch (error) {
      this.#logger.info(`${loss}: ${messageOf(error)}`);
      return undefined;
    }
  }
}

/** Loads koffi. Without it the library has no abilities, and one line of the log says so. */
export function openCLibrary(logger: Logger): CLibrary {
  try {
    const koffi = loadKoffi();
    const library = koffi.load(null);
    return new CLibrary({ koffi, func: library.func.bind(library) }, logger);
  } catch (error) {
    logger.warn(`reads through the mount will be slower: koffi cannot be loaded: ${messageOf(error)}`);
    return new CLibrary(undefined, logger);
  }
}
