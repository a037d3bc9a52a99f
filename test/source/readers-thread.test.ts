import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLogger } from '../../src/logger.ts';
import { loadAccessListCall } from '../../src/native/access-list.ts';
import { loadKoffi, openCLibrary } from '../../src/native/c-library.ts';
import { ReadersLook } from '../../src/source/look-at-readers.ts';
import { OwnMounts } from '../../src/source/own-mounts.ts';
import type { Readers } from '../../src/source/readers.ts';
import { ReadersThread } from '../../src/source/readers-thread.ts';
import { ReleasedFolders } from '../../src/source/released-folders.ts';
import { temporaryFolder } from '../harness/folder.ts';

const COUNT = 1200;

/** Gives a file an access control list that shuts out one user. */
function shutOut(uid: number, path: string): void {
  const entries = [
    [0x01, 6, -1],
    [0x02, 0, uid],
    [0x04, 4, -1],
    [0x10, 4, -1],
    [0x20, 4, -1],
  ];
  const list = Buffer.alloc(4 + entries.length * 8);
  list.writeUInt32LE(2, 0);
  for (const [i, [tag = 0, grants = 0, id = 0]] of entries.entries()) {
    list.writeUInt16LE(tag, 4 + i * 8);
    list.writeUInt16LE(grants, 6 + i * 8);
    list.writeInt32LE(id, 8 + i * 8);
  }
  const setxattr = loadKoffi()
    .load(null)
    .func('int setxattr(const char *path, const char *name, const void *value, uint64_t size, int flags)');
  assert.equal(setxattr(path, 'system.posix_acl_access', list, list.length, 0), 0);
}

describe('looks at many sources', () => {
  let folder: string;
  let paths: Buffer[];
  /** Looks that were made in the ordinary way. */
  let ordinary: number;
  let look: ReadersLook;
  const counted = {
    released: new ReleasedFolders(),
    get ownFolders() {
      return look.ownFolders;
    },
    async atPath(path: Buffer): Promise<Readers | undefined> {
      ordinary++;
      return await look.atPath(path);
    },
  };
  const all = async (thread: ReadersThread): Promise<(Readers | undefined)[]> => {
    const found: (Readers | undefined)[] = [];
    for (let i = 0; i < paths.length; i += 100) {
      found.push(...(await Promise.all(paths.slice(i, i + 100).map(async (path) => await thread.atPath(path)))));
    }
    return found;
  };

  beforeEach(async () => {
    folder = temporaryFolder('readers-thread');
    await fs.chmod(folder, 0o755);
    ordinary = 0;
    const accessList = loadAccessListCall(openCLibrary(silentLogger));
    look = new ReadersLook({ ownMounts: new OwnMounts(), ownFolders: [join(folder, 'own')], accessList });
    await fs.mkdir(join(folder, 'own'), { mode: 0o700 });
    await fs.mkdir(join(folder, 'closed'), { mode: 0o700 });
    paths = [];
    for (let i = 0; i < COUNT; i++) {
      const name = Buffer.from([0xff, 0x61 + (i % 20)]);
      const path = Buffer.concat([Buffer.from(join(folder, ['', 'own', 'closed'][i % 3]!, `${i}`)), name]);
      // Every seventh is not there.
      if (i % 7 !== 0) await fs.writeFile(path, '', { mode: i % 5 === 0 ? 0o600 : 0o644 });
      paths.push(path);
    }
    const listed = paths[COUNT - 6]!;
    await fs.rm(listed, { force: true });
    await fs.writeFile(join(folder, 'listed'), '', { mode: 0o644 });
    shutOut(1, join(folder, 'listed'));
    await fs.rename(join(folder, 'listed'), listed);
  });

  it('finds in a thread what it finds in the ordinary way', async () => {
    const expected = await Promise.all(paths.map(async (path) => await look.atPath(path)));
    assert.deepEqual(await all(new ReadersThread(counted)), expected);
    assert.ok(ordinary < 600, `${ordinary} looks were made in the ordinary way`);
    assert.equal(expected[COUNT - 6], 'nobody');
    assert.ok(expected.includes('everyone') && expected.includes(undefined));
  });

  it('goes on in the ordinary way if the thread fails', async () => {
    const expected = await Promise.all(paths.map(async (path) => await look.atPath(path)));
    const broken = new ReadersThread(counted, new URL('data:text/javascript,throw new Error("broken")'));
    assert.deepEqual(await all(broken), expected);
    assert.equal(ordinary, COUNT);
  });

  it('gives no answers when the thread is stuck', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const stuck = new ReadersThread(counted, new URL('data:text/javascript,setInterval(() => {}, 1000)'));
    for (let i = 0; i < 499; i++) await stuck.atPath(paths[1]!);
    const asked = stuck.atPath(paths[1]!);
    await Promise.resolve();
    t.mock.timers.tick(10_000);
    assert.equal(await asked, undefined);
    t.mock.timers.reset();
    await sleep(1);
    assert.equal(await stuck.atPath(paths[1]!), 'everyone');
  });
});
