/**
 * Names as in POSIX: the changes of each call, and what it refuses. Tested through the file system, as a driver calls
 * it.
 */
import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { Attributes } from '../../../src/vfs/operations.ts';
import { RENAME_EXCHANGE, RENAME_NOREPLACE } from '../../../src/vfs/operations.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { BASE, planFor, Volume } from '../../vfs/volume.ts';
import { letters } from '../fixture.ts';

const later = (a: Attributes, b: Attributes, time: 'mtime' | 'ctime'): boolean =>
  a[time].seconds > b[time].seconds ||
  (a[time].seconds === b[time].seconds && a[time].nanoseconds > b[time].nanoseconds);

describe('names', () => {
  let folder: string;
  let volume: Volume;
  beforeEach(async () => {
    folder = temporaryFolder('tree');
    volume = await Volume.open(folder);
    await volume.store.recovered;
    for (const path of ['d', 'd/sub', 'd/full', 'e', 'e/empty']) await volume.files.mkdir(...volume.place(path), 0o755);
    for (const path of ['d/file', 'd/full/x', 'e/file']) await volume.create(path, path);
    await volume.files.link(volume.ino('d/file'), ...volume.place('d/same'));
    await volume.files.symlink(...volume.place('d/link'), 'file');
    // Later changes get another time.
    await new Promise((resolve) => setTimeout(resolve, 2));
  });
  afterEach(async () => {
    await volume.close();
  });

  const attributes = (path: string): Attributes => volume.files.getattr(volume.ino(path));
  const everything = async (path = ''): Promise<string[]> => {
    const found: string[] = [];
    {
      for (const { name, ino, type } of await volume.list(volume.ino(path))) {
        const below = path === '' ? name : `${path}/${name}`;
        found.push(`${below} ${ino} ${JSON.stringify(volume.files.getattr(ino))}`);
        if (type === 'directory') found.push(...(await everything(below)));
      }
    }
    return found;
  };

  type Call = () => unknown;
  const mkdir =
    (path: string): Call =>
    async () =>
      await volume.files.mkdir(...volume.place(path), 0o755);
  const create =
    (path: string): Call =>
    async () =>
      await volume.create(path);
  const symlink =
    (path: string, target = 'x'): Call =>
    async () =>
      await volume.files.symlink(...volume.place(path), target);
  const link =
    (from: string, to: string): Call =>
    async () =>
      await volume.files.link(volume.ino(from), ...volume.place(to));
  const unlink =
    (path: string): Call =>
    async () =>
      await volume.unlink(path);
  const rmdir =
    (path: string): Call =>
    async () =>
      await volume.files.rmdir(...volume.place(path));
  const rename =
    (from: string, to: string, flags = 0): Call =>
    async () =>
      await volume.rename(from, to, flags);
  const mknod =
    (path: string, type: 'fifo' | 'directory'): Call =>
    async () =>
      await volume.files.mknod(...volume.place(path), type, 0o600, 0);
  const inRoot =
    (path: string, to: string): Call =>
    async () =>
      await volume.files.rename(1, path, 1, to);

  const REFUSED: readonly (readonly [what: string, errno: string, call: Call])[] = [
    ['mkdir over a file', 'EEXIST', mkdir('d/file')],
    ['mkdir over a folder', 'EEXIST', mkdir('d/sub')],
    ['mkdir in a file', 'ENOTDIR', mkdir('d/file/x')],
    ['create over a folder', 'EEXIST', create('d/sub')],
    ['create over a file', 'EEXIST', create('d/file')],
    ['create over a symlink', 'EEXIST', create('d/link')],
    ['create in nothing', 'ENOENT', create('nothing/x')],
    ['create with a name too long', 'ENAMETOOLONG', create(`d/${'é'.repeat(128)}`)],
    ['create with text that is of no bytes', 'EINVAL', create('d/\ud800')],
    ['create with bytes escaped that are UTF-8', 'EINVAL', create('d/\udcc3\udca9')],
    ['symlink to text that is of no bytes', 'EINVAL', symlink('d/new', '\ud800')],
    ['create of nothing', 'EINVAL', create('d/')],
    ['create of the folder itself', 'EINVAL', create('d/.')],
    ['symlink over a file', 'EEXIST', symlink('d/file')],
    ['symlink to nothing', 'ENOENT', symlink('d/new', '')],
    ['symlink to a path too long', 'ENAMETOOLONG', symlink('d/new', 'x'.repeat(4096))],
    ['mknod of a folder', 'EINVAL', mknod('d/new', 'directory')],
    ['mknod over a file', 'EEXIST', mknod('d/file', 'fifo')],
    ['link over a file', 'EEXIST', link('d/file', 'e/file')],
    ['link over itself', 'EEXIST', link('d/file', 'd/file')],
    ['link of a folder', 'EPERM', link('d/sub', 'e/new')],
    ['link in a file', 'ENOTDIR', link('d/file', 'e/file/x')],
    ['link to another entry', 'EXDEV', async () => await volume.files.link(volume.ino('d/file'), 1, 'x')],
    ['unlink of a folder', 'EISDIR', unlink('d/sub')],
    ['unlink of nothing', 'ENOENT', unlink('d/nothing')],
    ['unlink of a name too long', 'ENAMETOOLONG', unlink(`d/${'x'.repeat(256)}`)],
    ['unlink in a file', 'ENOTDIR', unlink('d/file/x')],
    ['rmdir of a file', 'ENOTDIR', rmdir('d/file')],
    ['rmdir of a symlink', 'ENOTDIR', rmdir('d/link')],
    ['rmdir of nothing', 'ENOENT', rmdir('d/nothing')],
    ['rmdir of what is not empty', 'ENOTEMPTY', rmdir('d/full')],
    ['rmdir of an entry', 'EBUSY', async () => await volume.files.rmdir(1, 'E')],
    ['rename of nothing', 'ENOENT', rename('d/nothing', 'd/x')],
    ['rename into nothing', 'ENOENT', rename('d/file', 'nothing/x')],
    ['rename into a file', 'ENOTDIR', rename('d/file', 'e/file/x')],
    ['rename of a folder over a file', 'ENOTDIR', rename('d/sub', 'e/file')],
    ['rename of a folder over a symlink', 'ENOTDIR', rename('d/sub', 'd/link')],
    ['rename of a file over a folder', 'EISDIR', rename('d/file', 'e/empty')],
    ['rename over a folder that is not empty', 'ENOTEMPTY', rename('e/empty', 'd/full')],
    ['rename over the folder that it is in', 'ENOTEMPTY', rename('d/full', 'd')],
    ['rename of a file over the folder that it is in', 'EISDIR', rename('d/file', 'd')],
    ['rename into itself', 'EINVAL', rename('d', 'd/sub/d')],
    ['rename right into itself', 'EINVAL', rename('d', 'd/d')],
    ['rename to a name too long', 'ENAMETOOLONG', rename('d/file', `d/${'x'.repeat(256)}`)],
    ['rename to another entry', 'EXDEV', async () => await volume.files.rename(volume.ino('d'), 'file', 1, 'x')],
    ['rename of an entry', 'EBUSY', inRoot('E', 'F')],
    ['rename over something with NOREPLACE', 'EEXIST', rename('d/file', 'e/file', RENAME_NOREPLACE)],
    ['rename over another name of it with NOREPLACE', 'EEXIST', rename('d/file', 'd/same', RENAME_NOREPLACE)],
    ['rename with flags nobody knows', 'EINVAL', rename('d/file', 'e/file', 4)],
    ['rename with two flags', 'EINVAL', rename('d/file', 'e/file', 3)],
    ['exchange with nothing', 'ENOENT', rename('d/file', 'd/nothing', RENAME_EXCHANGE)],
    ['exchange with what is above', 'EINVAL', rename('d/sub', 'd', RENAME_EXCHANGE)],
    ['exchange with what is below', 'EINVAL', rename('d', 'd/sub', RENAME_EXCHANGE)],
    ['open of a folder', 'EISDIR', async () => await volume.open('d')],
    ['truncate of a folder', 'EISDIR', async () => await volume.truncate('d', 0)],
    ['truncate of a FIFO or a symlink', 'EINVAL', async () => await volume.truncate('d/link', 0)],
    ['truncate to less than nothing', 'EINVAL', async () => await volume.truncate('d/file', -1)],
    ['readlink of a file', 'EINVAL', async () => volume.files.readlink(volume.ino('d/file'))],
  ];
  it('are refused with the right errno, and nothing changes then', async () => {
    const before = await everything();
    for (const [what, code, call] of REFUSED) {
      await assert.rejects(async () => await call(), { code }, what);
      assert.deepEqual(await everything(), before, what);
    }
    const records = await letters(volume.level);
    await volume.restart();
    assert.deepEqual(await everything(), before);
    assert.equal(await letters(volume.level), records);
  });

  const CHANGING: readonly (readonly [
    what: string,
    call: Call,
    /** Directories whose mtime and ctime rise. */
    parents: readonly string[],
    /** The change of each link count, by path. */
    links: Readonly<Record<string, number>>,
    /** Inodes whose ctime rises but whose mtime does not, by their present names. */
    ctimes: readonly string[],
  ])[] = [
    ['create', create('d/new'), ['d'], { d: 0 }, []],
    ['mkdir', mkdir('d/new'), ['d'], { d: 1 }, []],
    ['mknod', mknod('d/new', 'fifo'), ['d'], { d: 0 }, []],
    ['symlink', symlink('d/new'), ['d'], { d: 0 }, []],
    ['link', link('d/file', 'e/new'), ['e'], { e: 0, 'd/file': 1 }, ['d/file', 'd/same', 'e/new']],
    ['unlink of one of two names', unlink('d/same'), ['d'], { 'd/file': -1, d: 0 }, ['d/file']],
    ['unlink', unlink('e/file'), ['e'], { e: 0 }, []],
    ['rmdir', rmdir('d/sub'), ['d'], { d: -1 }, []],
    ['rename in a folder', rename('d/file', 'd/new'), ['d'], { d: 0 }, ['d/new', 'd/same']],
    ['rename to another folder', rename('d/file', 'e/new'), ['d', 'e'], { d: 0, e: 0 }, ['e/new']],
    ['rename over a file', rename('e/file', 'd/full/x'), ['e', 'd/full'], {}, ['d/full/x']],
    ['rename over one of two names', rename('e/file', 'd/same'), ['e', 'd'], { 'd/file': -1 }, ['d/same', 'd/file']],
    ['rename of a folder', rename('d/full', 'e/new'), ['d', 'e'], { d: -1, e: 1 }, ['e/new']],
    ['rename of a folder in its folder', rename('d/full', 'd/new'), ['d'], { d: 0 }, ['d/new']],
    ['rename of a folder over an empty one', rename('d/full', 'e/empty'), ['d', 'e'], { d: -1, e: 0 }, ['e/empty']],
    ['rename of a folder over an empty one beside it', rename('d/full', 'd/sub'), ['d'], { d: -1 }, ['d/sub']],
    ['rename over another name of the same file', rename('d/file', 'd/same'), [], { 'd/file': 0, 'd/same': 0 }, []],
    ['rename to the same name', rename('d/file', 'd/file'), [], { 'd/file': 0 }, []],
    [
      'exchange of files',
      rename('d/file', 'e/file', RENAME_EXCHANGE),
      ['d', 'e'],
      { d: 0, e: 0 },
      ['d/file', 'e/file'],
    ],
    [
      'exchange of a file and a folder',
      rename('d/file', 'e/empty', RENAME_EXCHANGE),
      ['d', 'e'],
      { d: 1, e: -1 },
      ['d/file', 'e/empty'],
    ],
    [
      'exchange of two folders',
      rename('d/full', 'e/empty', RENAME_EXCHANGE),
      ['d', 'e'],
      { d: 0, e: 0 },
      ['d/full', 'e/empty'],
    ],
  ];
  for (const [what, call, parents, links, ctimes] of CHANGING) {
    it(`change what they should: ${what}`, async () => {
      const paths = ['d', 'e', 'd/sub', 'd/full', 'e/empty', 'd/file', 'e/file', 'd/same', 'T', 'T/whole'];
      const before = new Map(paths.map((path) => [path, attributes(path)]));
      const inodes = new Map([...before.values()].map((each) => [each.ino, each]));
      await call();
      for (const path of parents) {
        const [then, now] = [before.get(path)!, attributes(path)];
        assert.ok(later(now, then, 'mtime') && later(now, then, 'ctime'), `${path} was changed`);
      }
      for (const [path, more] of Object.entries(links)) {
        assert.equal(attributes(path).nlink - before.get(path)!.nlink, more, `links of ${path}`);
      }
      for (const path of ctimes) {
        const [now, then] = [attributes(path), inodes.get(attributes(path).ino)!];
        assert.ok(later(now, then, 'ctime'), `the ctime of ${path}`);
        assert.deepEqual(now.mtime, then.mtime, `the mtime of ${path}`);
      }
      // All others are as they were, except for removed names.
      const touched = new Set([...parents, ...ctimes].map((path) => attributes(path).ino));
      for (const [path, then] of before) {
        if (touched.has(then.ino)) continue;
        const now = there(path);
        if (now?.ino === then.ino) assert.deepEqual(now, then, path);
      }
      const all = await everything();
      await volume.restart();
      assert.deepEqual(await everything(), all, 'the same after a restart');
    });
  }
  function there(path: string): Attributes | undefined {
    try {
      return attributes(path);
    } catch {
      return undefined;
    }
  }

  it('lead to the same inode wherever they are moved, and `..` with them', async () => {
    const ino = volume.ino('d/full');
    const version = volume.files.paths.treeVersion;
    await volume.rename('d/full', 'e/empty');
    assert.equal(volume.ino('e/empty'), ino);
    assert.ok(volume.files.paths.treeVersion > version, 'paths through it lead elsewhere');
    assert.equal((await volume.read('e/empty/x')).toString(), 'd/full/x');
    await volume.rename('e', 'd/e');
    await assert.rejects(volume.rename('d', 'd/e/empty/d'), { code: 'EINVAL' });
    await volume.rename('d/e', 'd/sub');
    assert.equal((await volume.read('d/sub/empty/x')).toString(), 'd/full/x');
  });

  it('go on to lead to the old inode until the new one has them, and to one of both always', async () => {
    await volume.create('d/new', 'new');
    const seen = new Set<string>();
    const renaming = volume.rename('d/new', 'd/file');
    for (let done = false; !done; ) {
      done = await Promise.race([
        renaming.then(() => true),
        new Promise<boolean>((resolve) => setImmediate(resolve, false)),
      ]);
      seen.add(`${volume.ino('d/file') > 0}`);
    }
    assert.deepEqual(seen, new Set(['true']));
    assert.equal((await volume.read('d/file')).toString(), 'new');
    assert.equal((await volume.read('d/same')).toString(), 'd/file');
  });

  it('of a deleted file of the torrent are free, and the file is listed as deleted', async () => {
    const { infoHash } = planFor(volume.source);
    const states = async (): Promise<Record<string, string>> => {
      const found: Record<string, string> = {};
      for await (const { path, state } of volume.store.files(infoHash)) found[path.join('/')] = state;
      return found;
    };
    await volume.unlink('T/whole');
    await volume.rename('T/last', 'd/elsewhere');
    assert.deepEqual(await states(), {
      'T/whole': 'deleted',
      'T/gap': 'present',
      'T/mixed': 'present',
      'T/last': 'moved',
      'T/empty': 'present',
    });
    await volume.create('T/whole', 'another');
    assert.equal((await states())['T/whole'], 'replaced');
    await volume.restart();
    assert.equal((await states())['T/whole'], 'replaced');
    assert.ok((await volume.read('d/elsewhere')).equals(BASE['T/last']!));
    await volume.store.removeEntry(infoHash);
    assert.equal(await letters(volume.level), 'CIVg');
  });

  it('cannot be made in an entry that is being deleted', async () => {
    const { infoHash } = planFor(volume.source);
    const [parent, other, file] = [volume.ino('d'), volume.ino('e'), volume.ino('d/file')];
    const removing = volume.store.removeEntry(infoHash);
    const attempts: Promise<unknown>[] = [];
    const attempt = async (call: () => unknown): Promise<void> => {
      try {
        await call();
      } catch (error) {
        assert.equal((error as { code?: unknown }).code, 'ENOENT');
      }
    };
    for (let i = 0; i < 200; i++) {
      attempts.push(attempt(async () => await volume.files.mkdir(parent, `new ${i}`, 0o755)));
      attempts.push(attempt(async () => await volume.files.link(file, other, `link ${i}`)));
      attempts.push(attempt(async () => await volume.files.rename(parent, 'file', other, `moved ${i}`)));
      attempts.push(
        attempt(
          async () => await volume.files.release((await volume.files.create(parent, `file ${i}`, 0o600, 2)).handle),
        ),
      );
      await new Promise(setImmediate);
    }
    await removing;
    await Promise.all(attempts);
    await volume.restart();
    assert.equal(await letters(volume.level), 'CIVg');
  });

  it('can be made beside the entries, and belong to none', async () => {
    await volume.files.mkdir(1, 'beside', 0o755);
    const beside = volume.files.paths.find(1, 'beside');
    const { handle } = await volume.files.create(beside, 'file', 0o644, constants.O_RDWR);
    await volume.files.release(handle);
    await assert.rejects(async () => await volume.files.mkdir(1, 'E', 0o755), { code: 'EEXIST' });
    await assert.rejects(async () => await volume.files.rename(1, 'beside', 1, 'E'), { code: 'EBUSY' });
    await volume.files.rename(1, 'beside', 1, 'renamed');
    await volume.store.removeEntry(planFor(volume.source).infoHash);
    await volume.files.unlink(volume.files.paths.find(1, 'renamed'), 'file');
    await volume.files.rmdir(1, 'renamed');
    await volume.store.sync();
    await volume.restart();
    assert.equal(await letters(volume.level), 'CIVg');
    assert.equal(volume.files.getattr(1).nlink, 2);
  });
});
