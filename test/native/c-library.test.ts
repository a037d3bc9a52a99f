import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type Logger, silentLogger } from '../../src/logger.ts';
import { CLibrary, type LoadedLibrary, loadKoffi, openCLibrary } from '../../src/native/c-library.ts';
import { loadDescriptorCalls } from '../../src/native/descriptors.ts';
import { loadFileCalls } from '../../src/native/files.ts';
import { loadMountCalls } from '../../src/native/mounting.ts';
import { loadProcessCalls } from '../../src/native/process.ts';

/** A C library without one function, and what was said of it. */
function without(missing: string): { readonly library: CLibrary; readonly said: string[] } {
  const said: string[] = [];
  const note = (message: string): void => void said.push(message);
  const logger: Logger = { ...silentLogger, info: note, warn: note, error: note };
  const koffi = loadKoffi();
  const real = koffi.load(null);
  const func = ((prototype: string) => {
    if (prototype.includes(` ${missing}(`)) throw new Error(`no function ${missing}`);
    return real.func(prototype);
  }) as LoadedLibrary['func'];
  return { library: new CLibrary({ koffi, func }, logger), said };
}

const abilities = (library: CLibrary): string[] =>
  [loadFileCalls(library), loadDescriptorCalls(library), loadMountCalls(library), loadProcessCalls(library)].flatMap(
    (calls) => Object.keys(calls),
  );

describe('the C library', () => {
  const all = abilities(openCLibrary(silentLogger));

  for (const [missing, ...lost] of [
    ['preadv2', 'preadCached'],
    ['utimensat', 'setTimes'],
    ['posix_fadvise', 'willNeed'],
    ['lseek', 'seek'],
    ['fcntl', 'keepDescriptors'],
    ['umount2', 'unmount', 'abort'],
    ['_exit', 'exitNow'],
  ] as const) {
    it(`loses ${lost.join(' and ')} alone where ${missing} is missing, and says so once`, () => {
      const { library, said } = without(missing);
      assert.deepEqual(
        abilities(library),
        all.filter((name) => !lost.some((one) => one === name)),
      );
      assert.equal(said.length, 1);
      assert.match(said[0] ?? '', new RegExp(`: no function ${missing}$`));
    });
  }

  it('keeps what it loaded globally through every garbage collection', async () => {
    const { lib } = createRequire(import.meta.url)('fuse-shared-library') as { readonly lib: string };
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as () => void;
    loadProcessCalls(openCLibrary(silentLogger)).loadGlobally?.(lib);
    for (let i = 0; i < 3; i++) {
      gc();
      await sleep(10);
    }
    assert.ok(readFileSync('/proc/self/maps', 'utf8').includes(lib));
  });

  it('has no ability, and says nothing more, where koffi is not installed', () => {
    assert.deepEqual(abilities(new CLibrary(undefined, silentLogger)), []);
  });
});
