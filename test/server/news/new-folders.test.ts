/** The folders of sources are watched as soon as these are recorded, whether anybody reads them or not. */
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { waitUntil } from '../../harness/daemon.ts';
import { makeFileSystem, type TestFileSystem } from '../../harness/file-systems.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { NEEDS_ROOT } from '../../harness/other-user.ts';
import { identityAt } from '../../harness/plans.ts';
import { Library } from './library.ts';

for (const [name, watch] of [
  ['whole file systems', {}],
  ['by folders', { wholeFileSystems: false }],
] as const) {
  describe(`folders of new sources, ${name}`, { skip: NEEDS_ROOT }, () => {
    let disk: TestFileSystem;
    let library: Library;

    const untilMarked = async (least: number): Promise<void> => {
      await waitUntil('the watch', async () => {
        const { fileSystems } = await library.watching.watched();
        return fileSystems.some(({ marks }) => marks >= least);
      });
    };

    beforeEach(async () => {
      disk = await makeFileSystem('ext4', temporaryFolder('new-folders'));
      await fs.mkdir(`${disk.path}/films`);
      library = await Library.open(`${disk.path}/films`, { watch, listed: false });
    });

    afterEach(async () => {
      await library.close();
      await disk.close();
    });

    it('are watched before anybody reads them', async () => {
      const [id = 0] = await library.add('show/a');
      await untilMarked(1);
      await fs.rename(library.at('show'), library.at('tv'));
      await library.until(id, 'tv/a: trusted');
    });

    // Of a whole file system nothing tells when the watch knows the folder.
    if (name === 'whole file systems') return;

    it('are watched when a source is mapped to another folder', async () => {
      await fs.mkdir(library.at('elsewhere/deep'), { recursive: true });
      await fs.writeFile(library.at('elsewhere/deep/a'), 'the same');
      const [id = 0] = await library.add('show/a');
      await untilMarked(1);
      const before = (await library.watching.watched()).fileSystems[0]?.marks ?? 0;
      const path = Buffer.from(library.at('elsewhere/deep/a'));
      const was = library.record(id);
      const now = {
        ...identityAt(library.at('elsewhere/deep/a')),
        path,
        ...(was.disk === undefined ? {} : { disk: was.disk }),
      };
      assert.deepEqual(await library.store.living.changeSources([{ id, was, now, trusted: true }]), [id]);
      await untilMarked(before + 2);
      await fs.rename(library.at('elsewhere'), library.at('tv'));
      await library.until(id, 'tv/deep/a: trusted');
    });
  });
}
