import assert from 'node:assert/strict';
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { FarSearch } from '../../src/heal/far-search.ts';
import { Folders } from '../../src/heal/folders.ts';
import { SourceAccess } from '../../src/source/source-access.ts';
import { temporaryFolder } from '../harness/folder.ts';

describe('the folders in which a source is looked for', () => {
  let disk: string;
  let access: SourceAccess;
  const put = (...parts: readonly string[]): Buffer => {
    const path = join(disk, ...parts);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, 'bytes');
    return Buffer.from(path);
  };
  const shown = (paths: Iterable<Buffer>): string[] => [...paths].map((path) => path.toString().slice(disk.length));

  beforeEach(() => {
    disk = temporaryFolder('folders');
    access = new SourceAccess({ disks: [disk] });
    put('a', 'file');
    put('.autotorrent', 'kept-1', 'x', 'file');
  });

  it('are near the old one, and none that has what we keep', () => {
    const folders = new Folders(access);
    assert.deepEqual(shown(folders.around(Buffer.from(join(disk, 'gone', 'file')))), ['', '/a']);
    assert.equal(folders.read(Buffer.from(join(disk, '.autotorrent'))), undefined);
    assert.equal(folders.read(Buffer.from(join(disk, '.autotorrent', 'kept-1', 'x'))), undefined);
    const like = folders.filesLike(Buffer.from(join(disk, 'a')), 5, 0n);
    assert.deepEqual(shown(like), ['/a/file']);
  });

  it('are searched on the whole disk, but for what we keep', async () => {
    const found = [put('far', 'away', 'film'), put('.autotorrent', 'kept-1', 'y', 'film')];
    for (const one of found) utimesSync(one, 1000, 1000);
    const far = new FarSearch(access);
    const like = await far.filesLike(Buffer.from(join(disk, 'gone', 'film')), 5, 1_000_000_000_000n);
    assert.deepEqual(shown(like), ['/far/away/film']);
  });
});
