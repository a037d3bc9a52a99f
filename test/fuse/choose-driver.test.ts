import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AutotorrentError } from '../../src/errors.ts';
import { chooseDriver, firstUsable } from '../../src/fuse/choose-driver.ts';
import type { Driver } from '../../src/fuse/driver.ts';
import { silentLogger } from '../../src/logger.ts';
import { CLibrary, openCLibrary } from '../../src/native/c-library.ts';

describe('the choice of a driver', () => {
  const parts = { library: openCLibrary(silentLogger), logger: silentLogger };

  it('takes fuse-native by its name, and where it is free to choose', () => {
    const chosen = ['auto', 'fuse-native'].map((name) => chooseDriver(name, parts));
    assert.deepEqual(
      chosen.map(({ driver, reason }) => [driver.name, reason]),
      [
        ['fuse-native', 'the first choice of auto'],
        ['fuse-native', 'it was asked for'],
      ],
    );
  });

  it('takes kernel by its name', () => {
    assert.equal(chooseDriver('kernel', parts).driver.name, 'kernel');
  });

  const candidate = (name: Driver['name'], missing?: string): Driver => ({
    name,
    unusable: () =>
      missing === undefined ? undefined : new AutotorrentError('MOUNT', missing, { hint: `get ${name}` }),
    mount: async () => await Promise.reject(new Error('not to be mounted')),
  });

  it('passes over what cannot run, and says why', () => {
    const { driver, reason } = firstUsable([candidate('fuse-native', 'no libfuse'), candidate('kernel')]);
    assert.equal(driver.name, 'kernel');
    assert.equal(reason, 'fuse-native cannot run here: no libfuse');
  });

  it('fails with all reasons where none can run', () => {
    assert.throws(() => firstUsable([candidate('fuse-native', 'no libfuse'), candidate('kernel', 'no koffi')]), {
      code: 'MOUNT',
      message: 'no driver can run: fuse-native cannot run here: no libfuse; kernel cannot run here: no koffi',
      hint: 'get fuse-native',
    });
  });

  it('knows that nothing runs without koffi', () => {
    const bare = { library: new CLibrary(undefined, silentLogger), logger: silentLogger };
    assert.match(chooseDriver('kernel', bare).driver.unusable()?.message ?? '', /the package koffi/);
  });

  it('refuses another name, and says what there is', () => {
    assert.throws(
      () => chooseDriver('toString', parts),
      (error) =>
        error instanceof AutotorrentError &&
        error.code === 'USAGE' &&
        /there is no driver toString/.test(error.message) &&
        /auto, kernel, fuse-native/.test(error.hint ?? ''),
    );
  });
});
