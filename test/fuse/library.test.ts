/** Loading fuse-native: the messages if it is not installed, has no binary for this machine, or lacks libfuse. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AutotorrentError } from '../../src/errors.ts';
import { loadFuseNative } from '../../src/fuse/native/library.ts';

/** The errors that `require` throws, by package. */
function load(thrown: Readonly<Record<string, Error>>): { loaded: unknown; libraries: string[] } {
  const libraries: string[] = [];
  const loaded = loadFuseNative({ loadGlobally: (library) => void libraries.push(library) }, (name) => {
    const error = thrown[name];
    if (error !== undefined) throw error;
    return name === 'fuse-shared-library' ? { lib: '/bundled/libfuse.so' } : name;
  });
  return { loaded, libraries };
}

const failed = (code: string | undefined, message: string): Error =>
  Object.assign(new Error(message), code === undefined ? {} : { code });
const absent = (name: string): Error =>
  failed('MODULE_NOT_FOUND', `Cannot find module '${name}'\nRequire stack:\n- /somewhere/library.js`);

describe('loadFuseNative', () => {
  it('loads the libfuse of the package first', () => {
    assert.deepEqual(load({}), { loaded: 'fuse-native', libraries: ['/bundled/libfuse.so'] });
  });

  it('takes the libfuse of the system where the package has none', () => {
    const { libraries } = load({ 'fuse-shared-library': absent('fuse-shared-library') });
    assert.deepEqual(libraries, ['libfuse.so.2']);
  });

  for (const [where, error, hint] of [
    ['is not installed', absent('fuse-native'), /^The package fuse-native is not installed\. Run npm ci again/],
    ['has no binary for this machine', failed(undefined, 'No native build was found'), /says how to compile it\.$/],
    ['finds no libfuse', failed('ERR_DLOPEN_FAILED', 'libfuse.so.2: cannot open'), /^Install libfuse\.so\.2/],
  ] as const) {
    it(`says what to do where fuse-native ${where}`, () => {
      assert.throws(
        () => load({ 'fuse-native': error }),
        (thrown) => {
          assert.ok(thrown instanceof AutotorrentError && thrown.code === 'MOUNT');
          assert.match(thrown.hint ?? '', hint);
          assert.doesNotMatch(thrown.message, /\n/);
          return true;
        },
      );
    });
  }
});
