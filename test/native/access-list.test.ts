import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { silentLogger } from '../../src/logger.ts';
import { loadAccessListCall } from '../../src/native/access-list.ts';
import { loadKoffi, openCLibrary } from '../../src/native/c-library.ts';
import { temporaryFolder } from '../harness/folder.ts';

it('reads the access control lists of many files at once, long ones too', async (t) => {
  const folder = temporaryFolder('access-list');
  const read = loadAccessListCall(openCLibrary(silentLogger));
  assert.ok(read);
  const setxattr = loadKoffi()
    .load(null)
    .func('int setxattr(const char *path, const char *name, const void *value, uint64_t size, int flags)');
  const lengths = [0, 1, 100];
  const lists = lengths.map((users) => {
    const entries = [
      [0x01, 6],
      ...Array.from({ length: users }, () => [0x02, 4]),
      [0x04, 4],
      ...(users > 0 ? [[0x10, 4]] : []),
      [0x20, 4],
    ];
    const list = Buffer.alloc(4 + entries.length * 8);
    list.writeUInt32LE(2);
    for (const [i, [tag, permissions]] of entries.entries()) {
      list.writeUInt16LE(tag!, 4 + i * 8);
      list.writeUInt16LE(permissions!, 6 + i * 8);
      list.writeUInt32LE(tag === 0x02 ? 2000 + i : 0xffff_ffff, 8 + i * 8);
    }
    return list;
  });
  const paths = Array.from({ length: 300 }, (_, i) => join(folder, `é ${i}`));
  for (const [i, path] of paths.entries()) {
    writeFileSync(path, '');
    const list = lists[i % lists.length]!;
    if (i % lists.length > 0 && setxattr(path, 'system.posix_acl_access', list, list.length, 0) !== 0) {
      return t.skip('the file system has no access control lists');
    }
  }
  const found = await Promise.all(paths.map(async (path) => await read(Buffer.from(path))));
  for (const [i, list] of found.entries()) {
    if (i % lists.length === 0) assert.equal(list, undefined);
    else assert.ok(list?.equals(lists[i % lists.length]!));
  }
  assert.equal(await read(Buffer.from(join(folder, 'gone'))), undefined);
});
