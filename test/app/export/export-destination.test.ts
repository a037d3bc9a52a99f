import assert from 'node:assert/strict';
import { mkdir, readdir, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { ExportDestination } from '../../../src/app/export/export-destination.ts';
import { temporaryFolder } from '../../harness/folder.ts';

const HASH = 'a'.repeat(40);

describe('the destination of an export', () => {
  let folder: string;
  let destination: ExportDestination;
  const copy = (...path: readonly string[]): string => join(folder, 'copy.partial', HASH, ...path);

  beforeEach(async () => {
    folder = temporaryFolder('export');
    destination = await ExportDestination.open(join(folder, 'copy'), HASH, 1);
  });

  for (const path of [['..', 'x'], ['T', '..', '..', 'x'], ['T', '.'], ['T', ''], ['T/../../x'], ['T', 'a\0b'], []]) {
    it(`refuses the path ${JSON.stringify(path)}`, async () => {
      await assert.rejects(destination.place(path), { code: 'EXPORT', message: /is no path of a file in a folder/ });
      assert.deepEqual(await readdir(folder), ['copy.partial']);
    });
  }

  for (const target of ['/etc/passwd', '../../x', '../..', '../../../etc', 'a/../../../x']) {
    it(`refuses a symlink to ${target}`, async () => {
      await assert.rejects(destination.link(['T', 'link'], target), { message: /leads out of the copy/ });
    });
  }

  it('makes symlinks that stay inside, also in the place of others', async () => {
    await mkdir(copy('T', 'sub'), { recursive: true });
    await symlink('/etc', copy('T', 'sub', 'link'));
    await destination.link(['T', 'sub', 'link'], '../file');
    assert.equal(await readlink(copy('T', 'sub', 'link')), '../file');
  });

  it('makes no folder through a symlink', async () => {
    await mkdir(join(folder, 'outside'));
    await symlink(join(folder, 'outside'), copy('T'));
    await assert.rejects(destination.place(['T', 'sub', 'file']), { message: /T is no folder/ });
    assert.deepEqual(await readdir(join(folder, 'outside')), []);
  });

  it('appears whole, and not over what was made meanwhile', async () => {
    await writeFile(await destination.place(['T', 'file']), 'x');
    await mkdir(join(folder, 'copy'));
    const finish = async (): Promise<void> => await destination.finish([copy('T', 'file')], async () => undefined);
    await assert.rejects(finish(), { message: /copy was made meanwhile/ });
    await rm(join(folder, 'copy'), { recursive: true });
    await finish();
    assert.deepEqual((await readdir(folder, { recursive: true })).toSorted(), ['copy', 'copy/T', 'copy/T/file']);
  });

  it('does not go on with another entry', async () => {
    await assert.rejects(ExportDestination.open(join(folder, 'copy'), 'b'.repeat(40), 1), {
      code: 'CONFLICT',
      message: /holds something else than an export of this entry/,
    });
  });
});
