/** Names in a held folder, also those that are not UTF-8. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { pathOfName } from '../../src/bytes/name-text.ts';
import { HeldFolder } from '../../src/native/held-folder.ts';
import { temporaryFolder } from '../harness/folder.ts';

describe('a held folder', () => {
  it('leads to files and folders whose names are not UTF-8', async () => {
    const path = temporaryFolder('held');
    mkdirSync(pathOfName(`${path}/d\udcff`));
    writeFileSync(pathOfName(`${path}/d\udcff/caf\udce9`), 'bytes');
    const folder = await HeldFolder.open(path);
    const inner = await folder.openFolder('d\udcff');
    try {
      assert.equal(await readFile(inner.atAny('caf\udce9'), 'utf8'), 'bytes');
      assert.throws(() => inner.at('caf\udce9'), RangeError);
      assert.throws(() => inner.atAny('a/b'), RangeError);
      assert.equal(inner.atAny('caf\u00e9'), inner.at('caf\u00e9'));
    } finally {
      await inner.close();
      await folder.close();
    }
  });
});
