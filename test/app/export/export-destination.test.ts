import assert from 'node:assert/strict';
import { chmod, mkdir, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { ExportDestination } from '../../../src/app/export/export-destination.ts';
import type { Place } from '../../../src/app/export/place.ts';
import { temporaryFolder } from '../../harness/folder.ts';

const HASH = 'a'.repeat(40);

const writing = async ({ folder, name }: Place): Promise<void> => await writeFile(folder.at(name), 'x');

describe('the destination of an export', () => {
  let folder: string;
  let destination: ExportDestination;
  const copy = (...path: readonly string[]): string => join(folder, 'copy.partial', HASH, ...path);

  beforeEach(async () => {
    folder = temporaryFolder('export');
    destination = await ExportDestination.open(join(folder, 'copy'), HASH, 1);
  });
  afterEach(async () => await destination.close());

  for (const path of [['..', 'x'], ['T', '..', '..', 'x'], ['T', '.'], ['T', ''], ['T/../../x'], ['T', 'a\0b'], []]) {
    it(`refuses the path ${JSON.stringify(path)}`, async () => {
      await assert.rejects(destination.within(path, writing), {
        code: 'EXPORT',
        message: /is no path of a file in a folder/,
      });
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
    await assert.rejects(destination.within(['T', 'sub', 'file'], writing), { message: /T is no folder/ });
    assert.deepEqual(await readdir(join(folder, 'outside')), []);
  });

  it('is not the root of the file system', async () => {
    await assert.rejects(ExportDestination.open('/', 'ab'.repeat(20), 0), {
      code: 'CONFLICT',
      message: '/ is there already, and is not written over',
    });
  });

  it('appears whole, and not over what was made meanwhile', async () => {
    await destination.within(['T', 'file'], writing);
    await mkdir(join(folder, 'copy'));
    const finish = async (): Promise<void> => await destination.finish([['T', 'file']], async () => undefined);
    await assert.rejects(finish(), { message: /copy was made meanwhile/ });
    await rm(join(folder, 'copy'), { recursive: true });
    await finish();
    assert.deepEqual((await readdir(folder, { recursive: true })).toSorted(), ['copy', 'copy/T', 'copy/T/file']);
  });

  it('is only for its user until it is whole, and then what his umask makes of it', async () => {
    const mode = async (...path: readonly string[]): Promise<string> =>
      ((await stat(join(folder, ...path))).mode & 0o777).toString(8);
    await destination.within(['T', 'sub', 'file'], writing);
    assert.deepEqual(
      [await mode('copy.partial'), await mode('copy.partial', HASH), await mode('copy.partial', HASH, 'T')],
      ['700', '700', '700'],
    );
    await destination.finish([], async (names) => (names.length === 1 ? undefined : { mode: 0o775, mtimeMs: 1000 }));
    const most = (bits: number): string => (bits & ~process.umask()).toString(8);
    assert.deepEqual(
      [await mode('copy'), await mode('copy', 'T'), await mode('copy', 'T', 'sub')],
      [most(0o777), most(0o777), most(0o775)],
    );
  });

  it('takes away what an earlier version let others do in the partial folder', async () => {
    await destination.close();
    await chmod(join(folder, 'copy.partial'), 0o755);
    destination = await ExportDestination.open(join(folder, 'copy'), HASH, 1);
    assert.equal((await stat(join(folder, 'copy.partial'))).mode & 0o777, 0o700);
  });

  it('keeps few descriptors open, however deep and wide it is', async () => {
    const open = async (): Promise<number> => (await readdir('/proc/self/fd')).length;
    const before = await open();
    const deep = Array.from({ length: 200 }, (_, i) => `${i}`);
    await destination.within([...deep, 'file'], writing);
    for (let i = 0; i < 100; i++) await destination.within(['wide', `${i}`, 'file'], writing);
    const held = (await open()) - before;
    assert.ok(held < 40, `${held} descriptors`);
    await destination.finish([[...deep, 'file']], async () => ({ mode: 0o755, mtimeMs: 1000 }));
    assert.equal(await readFile(join(folder, 'copy', ...deep, 'file'), 'utf8'), 'x');
  });

  it('does not go on with another entry', async () => {
    await assert.rejects(ExportDestination.open(join(folder, 'copy'), 'b'.repeat(40), 1), {
      code: 'CONFLICT',
      message: /holds something else than an export of this entry/,
    });
  });
});
