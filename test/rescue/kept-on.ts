/** What holds for kept files on each file system. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import {
  chmod,
  chown,
  mkdir,
  open,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { silentLogger } from '../../src/logger.ts';
import type { KeptFiles } from '../../src/rescue/kept-files.ts';
import { threadClockMs } from '../../src/rescue/thread-clock.ts';
import { FOUND_FOLDER, isLeftOut, OWN_FOLDER } from '../../src/source/own-folder.ts';
import { ReleasedFolders } from '../../src/source/released-folders.ts';
import { type FileSystemKind, makeFileSystem, type TestFileSystem } from '../harness/file-systems.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { NEEDS_ROOT, OTHER_USER } from '../harness/other-user.ts';
import { ID, keeperOn, kept, MIB, refused } from './keeping.ts';

const FILM = randomBytes(3 * MIB + 1000);

/** Tests what is kept on a disk with such a file system. */
export function testKeptFilesOn(kind: FileSystemKind): void {
  const shares = kind === 'xfs' || kind === 'btrfs';
  describe(`files that are kept on ${kind}`, { skip: NEEDS_ROOT }, () => {
    let base: string;
    let disk: TestFileSystem;
    let keeper: KeptFiles;
    let film: string;
    let count = 0;

    before(async () => {
      base = temporaryFolder('kept');
      disk = await makeFileSystem(kind, base);
    });
    after(async () => await disk.close());
    beforeEach(async () => {
      film = join(disk.path, 'films', `${count++}`, 'Film.mkv');
      await mkdir(dirname(film), { recursive: true });
      await writeFile(film, FILM);
      keeper = keeperOn(disk.path, base);
    });
    afterEach(async () => {
      await keeper.close();
      await rm(join(disk.path, OWN_FOLDER), { recursive: true, force: true });
    });

    it(shares ? 'share the extents of a deleted file' : 'are copies of a deleted file', async () => {
      await utimes(film, 1_000_000.123456, 1_000_000.123456);
      const before = await stat(film, { bigint: true });
      const { at, shared, identity, bytes } = await kept(keeper, film, {}, async () => {
        await rm(dirname(film), { recursive: true });
      });
      assert.equal(shared, shares);
      assert.deepEqual(await readFile(at), FILM);
      assert.match(at, new RegExp(`^${disk.path}/${OWN_FOLDER}/kept-${ID}/[0-9a-f]{16}/Film\\.mkv$`));
      const stats = await stat(at, { bigint: true });
      assert.equal(stats.mtimeNs, before.mtimeNs);
      assert.equal(identity.mtimeNs, before.mtimeNs);
      assert.equal(identity.ino, stats.ino);
      assert.equal(identity.ctimeNs, undefined);
      assert.ok(bytes >= FILM.length);
      assert.deepEqual(keeper.usage(), [{ folder: disk.path, files: 1, bytes }]);
      assert.equal(keeper.isKept(Buffer.from(at)), true);
      assert.equal(keeper.isKept(Buffer.from(film)), false);
    });

    it('let only the readers of the source read them', async () => {
      for (const [readers, mode] of [
        ['everyone', 0o444],
        ['nobody', 0o400],
        [{ group: OTHER_USER.gid }, 0o440],
      ] as const) {
        const { at } = await kept(keeper, film, { readers });
        const stats = await stat(at);
        assert.equal(stats.mode & 0o777, mode);
        if (mode === 0o440) assert.equal(stats.gid, OTHER_USER.gid);
      }
      for (const folder of [OWN_FOLDER, join(OWN_FOLDER, `kept-${ID}`)]) {
        assert.equal((await stat(join(disk.path, folder))).mode & 0o777, 0o700);
      }
    });

    it('become the ranges alone, with the same bytes and mtime', async () => {
      const { at, bytes } = await kept(keeper, film);
      const before = await stat(at, { bigint: true });
      const [from, to] = [MIB + 5, 2 * MIB + 7];
      await keeper.sync(Buffer.from(at));
      await keeper.trim(Buffer.from(at), [{ offset: from, length: to - from }]);
      const expected = Buffer.alloc(FILM.length);
      FILM.copy(expected, from, from, to);
      assert.deepEqual(await readFile(at), expected);
      const now = await stat(at, { bigint: true });
      assert.deepEqual(
        [now.mtimeNs, now.size, now.mode, now.ino],
        [before.mtimeNs, before.size, before.mode, before.ino],
      );
      const left = Number(now.blocks) * 512;
      assert.ok(left < bytes / 2, `${left} of ${bytes} are left`);
      assert.equal(keeper.usage()[0]?.bytes, left);
    });

    it('are no more than the limits allow', async () => {
      await keeper.close();
      keeper = keeperOn(disk.path, base, { limit: 2 * MIB, total: 5 * MIB });
      if (!shares) {
        assert.equal(await refused(keeper, film), 'rescue_limit');
        assert.deepEqual(await readdir(join(disk.path, OWN_FOLDER, `kept-${ID}`)), ['state']);
      }
      const ranges = shares ? {} : { ranges: [{ offset: MIB, length: 2 * MIB }] };
      const first = await kept(keeper, film, ranges);
      assert.equal(first.bytes >= 2 * MIB, true);
      await kept(keeper, film, ranges);
      // What is shared may exceed the total, but not if that much is kept already.
      assert.equal(await refused(keeper, film, ranges), 'rescue_total');
      // The next server finds what is there.
      await keeper.close();
      const let_go: string[] = [];
      keeper = keeperOn(disk.path, base, {
        limit: 2 * MIB,
        total: 5 * MIB,
        expendable: () => [first.path],
        letGo: async (path) => let_go.push(path.toString()) > 0,
      });
      const third = await kept(keeper, film, ranges);
      assert.deepEqual(let_go, [first.at]);
      await assert.rejects(stat(first.at), { code: 'ENOENT' });
      assert.equal(keeper.usage()[0]?.files, 2);
      await keeper.drop(third.path);
      await keeper.drop(third.path);
      assert.equal(keeper.usage()[0]?.files, 1);
    });

    it('end where the time of a writer was over, after their beginning', async () => {
      const first = shares ? 8 * MIB : MIB;
      const bytes = Buffer.concat([randomBytes(first), FILM]);
      await writeFile(film, bytes);
      const { mtimeNs } = await stat(film, { bigint: true });
      const [need, size] = [first + 2 * MIB, bytes.length];
      const ranges = [{ offset: 0, length: need }];
      const early = await kept(keeper, film, { ranges, until: threadClockMs() });
      assert.deepEqual([early.missing, early.identity.size, early.shared], [2 * MIB, first, shares]);
      assert.equal(early.identity.mtimeNs, mtimeNs);
      assert.equal((await readFile(early.at)).equals(bytes.subarray(0, first)), true);
      const { at, missing, identity } = await kept(keeper, film, { ranges, until: threadClockMs() + 3_600_000 });
      assert.deepEqual([missing, identity.size], [0, size]);
      assert.equal((await readFile(at)).subarray(0, need).equals(bytes.subarray(0, need)), true);
    });

    it('are not made of a file that was written to meanwhile', async () => {
      const write = async (): Promise<void> => {
        const file = await open(film, constants.O_WRONLY);
        await file.write(Buffer.from('other'), 0, 5, 1000);
        await file.close();
      };
      assert.equal(await refused(keeper, film, {}, write), 'changed');
      assert.equal(await refused(keeper, film, {}, async () => await truncate(film, 1000)), 'changed');
      assert.deepEqual(keeper.usage(), []);
    });

    // mergerfs does not tell where holes are.
    it('keep their holes', { skip: kind === 'mergerfs' }, async () => {
      await truncate(film, 0);
      const file = await open(film, 'r+');
      await file.truncate(1024 * MIB);
      await file.write(Buffer.from('the end'), 0, 7, 1024 * MIB - 7);
      await file.close();
      const { at, bytes } = await kept(keeper, film);
      assert.ok(bytes <= 128 * 1024, `${bytes} bytes`);
      assert.equal((await stat(at)).size, 1024 * MIB);
    });

    it('go when no record names them, and are found after the state was lost', async () => {
      const [named, unnamed] = [await kept(keeper, film), await kept(keeper, film)];
      await keeper.clean([]);
      assert.ok(await stat(named.at), 'those of this life stay');
      await keeper.close();
      keeper = keeperOn(disk.path, base);
      await keeper.clean([named.path]);
      assert.deepEqual(await readFile(named.at), FILM);
      await assert.rejects(stat(unnamed.at), { code: 'ENOENT' });
      await keeper.close();

      const other = keeperOn(disk.path, base, { state: { id: 'f'.repeat(32), path: join(base, 'other') } });
      await other.clean([]);
      await other.close();
      assert.ok(await stat(named.at), 'those of another state stay');

      keeper = keeperOn(disk.path, base, { state: { id: 'e'.repeat(32), path: join(base, 'state') } });
      await keeper.clean([]);
      const found = join(disk.path, OWN_FOLDER, FOUND_FOLDER);
      const [folder = ''] = await readdir(found);
      assert.deepEqual(await readFile(join(found, folder, 'Film.mkv')), FILM);
      assert.deepEqual(await readdir(join(disk.path, OWN_FOLDER)), [FOUND_FOLDER]);
      assert.equal(isLeftOut(Buffer.from(join(found, folder))), false);
    });

    it('are not made on a disk that was released', async () => {
      await keeper.close();
      keeper = keeperOn(disk.path, base, { released: new ReleasedFolders([disk.path]) });
      assert.equal(await refused(keeper, film), 'error');
      await keeper.clean([]);
      await assert.rejects(stat(join(disk.path, OWN_FOLDER)), { code: 'ENOENT' });
    });

    it('hold nothing open: the disk can be unmounted', async () => {
      const { path } = await kept(keeper, film);
      await keeper.sync(path);
      await disk.remount();
      assert.deepEqual(await readFile(path), FILM);
    });

    for (const [what, says, make] of [
      ['a link', /\(E[A-Z]+\)$/, async (own: string) => await symlink(join(base, 'elsewhere'), own)],
      ['a file', /\(ENOTDIR\)$/, async (own: string) => await writeFile(own, '')],
      [
        'of somebody else',
        /belongs to user/,
        async (own: string) => {
          await mkdir(own, { mode: 0o700 });
          await chown(own, OTHER_USER.uid, OTHER_USER.gid);
        },
      ],
      [
        'open to a group',
        /may write to/,
        async (own: string) => {
          await mkdir(own);
          await chown(own, 0, OTHER_USER.gid);
          await chmod(own, 0o770);
        },
      ],
    ] as const) {
      it(`go to the pool where ${OWN_FOLDER} is ${what}`, async () => {
        await mkdir(join(base, 'elsewhere'), { recursive: true });
        await make(join(disk.path, OWN_FOLDER));
        await keeper.close();
        const said: string[] = [];
        keeper = keeperOn(disk.path, base, { logger: { ...silentLogger, info: (line) => void said.push(line) } });
        await kept(keeper, film);
        const { at, shared } = await kept(keeper, film);
        assert.equal(said.length, 1);
        assert.ok(
          said[0]?.startsWith(`what would be lost is kept in ${base}/index.pool, and not on the disk of ${film}: `),
        );
        assert.match(said[0] ?? '', says);
        assert.equal(shared, false);
        assert.match(at, new RegExp(`^${base}/index\\.pool/${OWN_FOLDER}/kept-${ID}/[0-9a-f]{16}/Film\\.mkv$`));
        assert.deepEqual(await readFile(at), FILM);
        assert.deepEqual(await readdir(join(base, 'elsewhere')), []);
        await keeper.sync(Buffer.from(at));
        await keeper.drop(Buffer.from(at));
        await assert.rejects(stat(at), { code: 'ENOENT' });
      });
    }
  });
}
