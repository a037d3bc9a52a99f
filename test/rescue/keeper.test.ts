import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { OWN_FOLDER } from '../../src/source/own-folder.ts';
import { makeFileSystem } from '../harness/file-systems.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { ID, keeperOn, kept, MIB, refused } from './keeping.ts';

describe('a full disk', { skip: NEEDS_ROOT }, () => {
  it('keeps nothing of a file that does not fit', async () => {
    const base = temporaryFolder('full');
    const disk = await makeFileSystem('ext4', base, { bytes: 16 * MIB, files: 64 });
    const keeper = keeperOn(disk.path, base);
    try {
      const film = join(disk.path, 'Film.mkv');
      await writeFile(film, randomBytes(9 * MIB));
      assert.equal(await refused(keeper, film), 'room');
      assert.deepEqual(await readdir(join(disk.path, OWN_FOLDER, `kept-${ID}`)), ['state']);
      assert.deepEqual(keeper.usage(), []);
      await kept(keeper, film, { ranges: [{ offset: 0, length: MIB }] });
    } finally {
      await keeper.close();
      await disk.close();
    }
  });
});
