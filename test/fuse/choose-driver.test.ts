import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AutotorrentError } from '../../src/errors.ts';
import { chooseDriver } from '../../src/fuse/choose-driver.ts';
import { silentLogger } from '../../src/logger.ts';
import { openCLibrary } from '../../src/native/c-library.ts';

describe('the choice of a driver', () => {
  const parts = { library: openCLibrary(silentLogger), logger: silentLogger };

  it('takes fuse-native by its name, and where it is free to choose', () => {
    for (const name of ['auto', 'fuse-native']) assert.equal(chooseDriver(name, parts).name, 'fuse-native');
  });

  it('takes kernel by its name', () => {
    assert.equal(chooseDriver('kernel', parts).name, 'kernel');
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
