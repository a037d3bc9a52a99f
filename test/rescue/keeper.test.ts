import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, chown, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { KeptFiles, KeptFilesOptions } from '../../src/rescue/kept-files.ts';
import { FOUND_FOLDER, OWN_FOLDER } from '../../src/source/own-folder.ts';
import { autotorrentIn } from '../harness/autotorrent.ts';
import { type FileSystemKind, makeFileSystem, type Room, type TestFileSystem } from '../harness/file-systems.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { guardMount } from '../harness/mount-guard.ts';
import { AS_OTHER_USER, NEEDS_ROOT, OTHER_USER } from '../harness/other-user.ts';
import { ID, keeperOn, kept, MIB, refused } from './keeping.ts';

const run = promisify(execFile);
const KEEP_ONE = fileURLToPath(new URL('keep-one.js', import.meta.url));
const FILM = randomBytes(2 * MIB + 1000);

/** A disk, and a keeper for it. */
interface Scene {
  readonly base: string;
  readonly disk: TestFileSystem;
  keeper(options?: Partial<KeptFilesOptions>): KeptFiles;
  /** Writes a film to the disk. Gives its path. */
  film(name: string, bytes?: Buffer): Promise<string>;
}

function onDisk(kind: FileSystemKind, room?: Room): Scene {
  const base = temporaryFolder('keeper');
  let made: TestFileSystem | undefined;
  const open: KeptFiles[] = [];
  before(async () => {
    made = await makeFileSystem(kind, base, room);
  });
  after(async () => {
    for (const keeper of open) await keeper.close();
    await made?.close();
  });
  const disk = (): TestFileSystem => {
    assert.ok(made !== undefined);
    return made;
  };
  return {
    base,
    get disk() {
      return disk();
    },
    keeper(options) {
      const keeper = keeperOn(disk().path, base, options);
      open.push(keeper);
      return keeper;
    },
    async film(name, bytes = FILM) {
      const path = join(disk().path, name);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, bytes);
      return path;
    },
  };
}

const inPlace = (place: string): RegExp => new RegExp(`^${place}/${OWN_FOLDER}/kept-${ID}/[0-9a-f]{16}/[^/]+$`);

describe('a full disk', { skip: NEEDS_ROOT }, () => {
  const scene = onDisk('ext4', { bytes: 16 * MIB, files: 64 });

  it('keeps nothing of a file that does not fit', async () => {
    const keeper = scene.keeper();
    const film = await scene.film('Film.mkv', randomBytes(9 * MIB));
    assert.equal(await refused(keeper, film), 'room');
    assert.deepEqual(await readdir(join(scene.disk.path, OWN_FOLDER, `kept-${ID}`)), ['state']);
    assert.deepEqual(keeper.usage(), []);
    await kept(keeper, film, { ranges: [{ offset: 0, length: MIB }] });
  });
});

describe('the folder of what is kept', { skip: NEEDS_ROOT }, () => {
  const scene = onDisk('ext4');

  it('is at the top of the file system of the source, also below the disk', async () => {
    const { disk, base } = scene;
    const inner = join(disk.path, 'films', 'inner');
    await mkdir(inner, { recursive: true });
    guardMount(inner);
    await run('mount', ['-t', 'tmpfs', 'none', inner]);
    const keeper = scene.keeper();
    const [one, other] = [await scene.film('films/One.mkv'), await scene.film('films/inner/a/Other.mkv')];
    assert.match((await kept(keeper, one)).at, inPlace(disk.path));
    const { at } = await kept(keeper, other);
    assert.match(at, inPlace(inner));
    assert.deepEqual(
      keeper
        .usage()
        .map(({ folder }) => folder)
        .toSorted(),
      [disk.path, inner],
    );
    // The next server finds both.
    const next = keeperOn(disk.path, base);
    await next.clean([Buffer.from(at)]);
    assert.deepEqual(
      next.usage().map(({ folder, files }) => [folder, files]),
      [[inner, 1]],
    );
    await next.close();
    await keeper.close();
    await run('umount', [inner]);
  });

  it('has the name of the disk, where that is a link', async () => {
    const link = join(scene.base, 'link');
    await symlink(scene.disk.path, link);
    const film = await scene.film('Film.mkv');
    const keeper = scene.keeper({ folders: async () => [Buffer.from(link)] });
    const { at } = await kept(keeper, join(link, 'Film.mkv'));
    assert.match(at, inPlace(link));
    // A source may be recorded by its real path.
    assert.match((await kept(keeper, film)).at, inPlace(scene.disk.path));
    // What a record names stays under each of its names.
    const folders = async (): Promise<Buffer[]> => [Buffer.from(link), Buffer.from(scene.disk.path)];
    const next = scene.keeper({ folders });
    await next.clean([Buffer.from(at)]);
    assert.deepEqual(await readFile(at), FILM);
    assert.equal(
      next.usage().reduce((sum, { files }) => sum + files, 0),
      1,
    );
    await next.drop(Buffer.from(at));
    await assert.rejects(stat(at), { code: 'ENOENT' });
  });

  it('is in the pool for a source on no disk', async () => {
    const keeper = scene.keeper({ folders: async () => [Buffer.from(join(scene.disk.path, 'other'))] });
    assert.match((await kept(keeper, await scene.film('Film.mkv'))).at, inPlace(join(scene.base, 'index.pool')));
  });

  it('is in the pool for an ordinary user who may not write to the disk', async () => {
    const base = join(scene.base, 'user');
    await mkdir(base);
    await chown(base, OTHER_USER.uid, OTHER_USER.gid);
    await chmod(scene.base, 0o755);
    const film = await scene.film('Film.mkv');
    const [command, ...before] = [...AS_OTHER_USER, process.execPath, KEEP_ONE];
    const { stdout } = await run(command, [...before, scene.disk.path, base, film, String(64 * MIB)]);
    const { at, shared } = JSON.parse(stdout) as { at: string; shared: boolean };
    assert.match(at, inPlace(join(base, 'index.pool')));
    assert.equal(shared, false);
    assert.deepEqual(await readFile(at), FILM);
    assert.equal((await stat(at)).uid, OTHER_USER.uid);
  });

  it('has nothing more than allowed if many files come at once', async () => {
    const keeper = scene.keeper({ total: 5 * MIB, state: { id: 'a'.repeat(32), path: '/state' } });
    const film = await scene.film('Film.mkv');
    const ranges = [{ offset: 0, length: MIB }];
    const found = await Promise.all(Array.from({ length: 8 }, async () => await refused(keeper, film, { ranges })));
    assert.equal(found.filter((why) => why === 'rescue_total').length, 3);
  });

  it('takes the place of what may go, if many files come at once', async () => {
    const old: string[] = [];
    const keeper = scene.keeper({
      total: 5 * MIB,
      state: { id: 'b'.repeat(32), path: '/state' },
      expendable: () => old.map((path) => Buffer.from(path)),
      letGo: async (path) => old.splice(old.indexOf(path.toString()), 1).length > 0,
    });
    const film = await scene.film('Film.mkv');
    const ranges = [{ offset: 0, length: MIB }];
    for (let i = 0; i < 3; i++) old.push((await kept(keeper, film, { ranges })).at);
    const oldest = [...old];
    const found = await Promise.all(Array.from({ length: 8 }, async () => await refused(keeper, film, { ranges })));
    assert.equal(found.filter((why) => why === 'rescue_total').length, 3);
    assert.deepEqual(old, []);
    for (const path of oldest) await assert.rejects(stat(path), { code: 'ENOENT' });
    assert.equal(keeper.usage()[0]?.files, 5);
  });
});

describe('a disk that does not answer', { skip: NEEDS_ROOT }, () => {
  const [slow, other] = [onDisk('fuse'), onDisk('ext4')];

  it('holds up nothing that is kept on another', async () => {
    const disks = [Buffer.from(slow.disk.path), Buffer.from(other.disk.path)];
    const keeper = slow.keeper({ folders: async () => disks });
    const films = [await slow.film('Slow.mkv'), await other.film('Film.mkv')] as const;
    let answered = false;
    const keeping = kept(keeper, films[0], {}, async () => {
      slow.disk.answerAfter(60_000);
      await slow.disk.waiting();
    }).finally(() => {
      answered = true;
    });
    const { path } = await kept(keeper, films[1]);
    const cleaning = keeper.clean([]);
    await keeper.sync(path);
    await keeper.drop(path);
    assert.equal(answered, false);
    assert.ok((await slow.disk.waiting()) > 0);
    slow.disk.answerAfter(0);
    const { at } = await keeping;
    await cleaning;
    assert.deepEqual(await readFile(at), FILM);
  });
});

describe('what is kept of a subvolume of btrfs', { skip: NEEDS_ROOT }, () => {
  const scene = onDisk('btrfs');

  it('is shared, at the top of the disk', async () => {
    const sub = join(scene.disk.path, 'films');
    await run('btrfs', ['subvolume', 'create', sub]);
    const film = await scene.film('films/Film.mkv');
    assert.notEqual((await stat(sub)).dev, (await stat(scene.disk.path)).dev);
    const { at, shared } = await kept(scene.keeper(), film);
    assert.match(at, inPlace(scene.disk.path));
    assert.equal(shared, true);
  });

  it('is shared of files without checksums', async () => {
    const folder = join(scene.disk.path, 'nocow');
    await mkdir(folder);
    await run('chattr', ['+C', folder]);
    const { at, shared } = await kept(scene.keeper(), await scene.film('nocow/Film.mkv'));
    assert.equal(shared, true);
    assert.deepEqual(await readFile(at), FILM);
  });
});

describe('a process that is killed while it keeps a file', { skip: NEEDS_ROOT }, () => {
  const scene = onDisk('ext4');

  it('leaves only what the next one deletes', async () => {
    const film = await scene.film('Film.mkv', randomBytes(100 * MIB));
    const child = spawn(process.execPath, [KEEP_ONE, scene.disk.path, scene.base, film, String(1024 * MIB)]);
    const folder = join(scene.disk.path, OWN_FOLDER, `kept-${ID}`);
    const left = async (): Promise<string[]> =>
      (await readdir(folder, { recursive: true }).catch(() => [])).filter((name) => name.endsWith('.mkv'));
    // It has written for some milliseconds by then, of a hundred that it needs.
    while ((await left()).length === 0) assert.equal(child.exitCode, null);
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.equal((await left()).length, 1);
    const keeper = scene.keeper();
    await keeper.clean([]);
    await assert.rejects(stat(folder), { code: 'ENOENT' });
    assert.deepEqual(keeper.usage(), []);
  });
});

describe('rebuild', { skip: NEEDS_ROOT }, () => {
  const scene = onDisk('ext4');

  it('reads what was kept for a lost state, and nothing else that is kept', async () => {
    const { base, disk } = scene;
    const keeper = scene.keeper();
    await kept(keeper, await scene.film('Film.mkv'));
    await keeper.close();
    const autotorrent = await autotorrentIn({ folder: base, disks: [disk.path] });
    const rebuild = async (): Promise<string> => {
      const { code, stdout, stderr } = await autotorrent.run('rebuild');
      assert.equal(code, 0, stderr);
      return stdout;
    };
    assert.match(await rebuild(), /^Indexed 1 file\(s\)/m);
    await scene.keeper({ state: { id: 'b'.repeat(32), path: join(base, 'state') } }).clean([]);
    assert.equal((await readdir(join(disk.path, OWN_FOLDER, FOUND_FOLDER))).length, 1);
    assert.match(await rebuild(), /^Indexed 2 file\(s\)/m);
  });
});
