/** A local user who may write to the top of a disk gets at the folder of its pins, in the hope that the server reads, or deletes, what it should not. */
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { chmod, chown } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { type Daemon, waitUntil } from '../harness/daemon.ts';
import { makeFileSystem, type TestFileSystem } from '../harness/file-systems.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';
import { asOtherUser, NEEDS_ROOT, OTHER_USER } from '../harness/other-user.ts';
import { DENIED, readByOther } from './scene.ts';

const dataOf = (name: string): Buffer => Buffer.alloc(40_000, `bytes of ${name} `);
const secretOf = (name: string): Buffer => Buffer.alloc(40_000, `secret of ${name} `);

for (const [kind, protect] of [
  ['xfs', 'reflink'],
  ['ext4', 'hardlink'],
] as const) {
  describe(`the folder of pins by ${protect}`, { skip: NEEDS_ROOT, timeout: 300_000 }, () => {
    let top: string;
    let disk: TestFileSystem;
    let program: Autotorrent;
    let server: Daemon;
    const own = (): string => join(disk.path, '.autotorrent');
    const film = (name: string): string => join(disk.path, `${name}.mkv`);
    const shown = (name: string): string => join(program.storePath, name, `${name}.mkv`);
    const pinOf = (name: string): string | undefined =>
      existsSync(own())
        ? readdirSync(own(), { recursive: true, encoding: 'utf8' }).find((path) => path.endsWith(`/${name}.mkv`))
        : undefined;

    async function run(...args: readonly string[]): Promise<string> {
      const { code, stdout, stderr } = await program.run(...args);
      assert.equal(code, 0, stdout + stderr);
      return stdout;
    }

    async function add(name: string): Promise<void> {
      writeFileSync(film(name), dataOf(name));
      await chmod(film(name), 0o644);
      await run('rebuild');
      const torrent = join(top, `${name}.torrent`);
      writeFileSync(torrent, makeTorrent({ name: `${name}.mkv`, content: dataOf(name), pieceLength: 16_384 }).raw);
      await run('add', '--verify', 'full', torrent);
    }

    /** What root gets of a file in the mount. */
    function read(name: string): Buffer | string {
      try {
        return readFileSync(shown(name));
      } catch (error) {
        return (error as NodeJS.ErrnoException).code ?? '';
      }
    }

    before(async () => {
      top = temporaryFolder('attacked-pins');
      await chmod(top, 0o755);
      disk = await makeFileSystem(kind, top);
      // Anybody may rename what lies there.
      await chmod(disk.path, 0o777);
      program = await autotorrentIn({
        folder: top,
        disks: [disk.path],
        general: [`protect = ${protect}`, 'on_loss = tell'],
      });
      server = await program.mount();
    });
    after(async () => {
      await server?.stop();
      await disk?.close();
    });

    it('is not used where he has made it first', async () => {
      const { code } = await asOtherUser('mkdir -m 0777 "$1"', own());
      assert.equal(code, 0);
      await add('first');
      await waitUntil('the line', async () =>
        server.output().includes(`.autotorrent belongs to user ${OTHER_USER.uid}`),
      );
      assert.deepEqual(readdirSync(own()), []);
      assert.ok(dataOf('first').equals(read('first') as Buffer));
      rmSync(own(), { recursive: true });
    });

    it('is not used where he has made it a link', async () => {
      const elsewhere = join(top, 'elsewhere');
      mkdirSync(elsewhere, { mode: 0o700 });
      await asOtherUser('ln -s "$1" "$2"', elsewhere, own());
      await add('linked');
      const { code, stdout } = await program.run('protect', 'linked');
      assert.equal(code, 3);
      assert.match(stdout, /\.autotorrent at the top of its disk is no folder/);
      assert.deepEqual(readdirSync(elsewhere), []);
      rmSync(own());
    });

    it('lets nobody in, and no pin be linked to', async () => {
      await run('protect');
      const pin = pinOf('first');
      assert.ok(pin !== undefined);
      const { code } = await asOtherUser('ls "$1" || ln "$2" "$3"', own(), join(own(), pin), join(disk.path, 'link'));
      assert.notEqual(code, 0);
      assert.equal(existsSync(join(disk.path, 'link')), false);
    });

    it('shows no byte of what he has put in the place of a pin, and deletes none of it', async () => {
      await add('swapped');
      await waitUntil('the pin', async () => pinOf('swapped') !== undefined);
      const pin = pinOf('swapped')!;
      const times = statSync(join(own(), pin)).mtimeMs / 1000;
      const secrets = join(top, 'secrets');
      const theirs = join(secrets, pin);
      mkdirSync(dirname(theirs), { recursive: true, mode: 0o700 });
      writeFileSync(theirs, secretOf('swapped'));
      utimesSync(theirs, times, times);
      const aside = join(disk.path, 'aside');
      const { code } = await asOtherUser('mv "$1" "$2" && ln -s "$3" "$1"', own(), aside, secrets);
      assert.equal(code, 0);
      // While the film is there, it has the bytes.
      assert.ok(dataOf('swapped').equals(read('swapped') as Buffer));
      rmSync(film('swapped'));
      for (let i = 0; i < 3; i++) assert.ok(!read('swapped').includes('secret'));
      await run('remove', 'swapped');
      await server.stop();
      server = await program.mount();
      assert.ok(secretOf('swapped').equals(readFileSync(theirs)));
      rmSync(own());
      renameSync(aside, own());
    });

    it('shows no byte of a folder of his with a file of the same name, size and mtime', async () => {
      await add('copied');
      await waitUntil('the pin', async () => pinOf('copied') !== undefined);
      const pin = pinOf('copied')!;
      const times = statSync(join(own(), pin)).mtimeMs / 1000;
      const aside = join(disk.path, 'aside');
      renameSync(own(), aside);
      const theirs = join(own(), pin);
      mkdirSync(dirname(theirs), { recursive: true });
      writeFileSync(theirs, secretOf('copied'));
      utimesSync(theirs, times, times);
      for (let at = theirs; at !== disk.path; at = dirname(at)) await chown(at, OTHER_USER.uid, OTHER_USER.gid);
      assert.ok(dataOf('copied').equals(read('copied') as Buffer));
      rmSync(film('copied'));
      for (let i = 0; i < 3; i++) assert.ok(!read('copied').includes('secret'));
      await run('remove', 'copied');
      assert.ok(secretOf('copied').equals(readFileSync(theirs)));
      rmSync(own(), { recursive: true });
      renameSync(aside, own());
    });

    it('keeps private what was made private before it was deleted', async () => {
      await add('private');
      await waitUntil('the pin', async () => pinOf('private') !== undefined);
      assert.equal(await readByOther(shown('private')), dataOf('private').toString());
      await chmod(film('private'), 0o600);
      assert.equal(await readByOther(shown('private')), DENIED);
      rmSync(film('private'));
      assert.equal(await readByOther(shown('private')), DENIED);
      await waitUntil('the pin in its place', async () => (await run('show', '--json', 'private')).includes('/pins-'));
      assert.ok(dataOf('private').equals(read('private') as Buffer));
      assert.equal(await readByOther(shown('private')), DENIED);
      await server.stop();
      server = await program.mount();
      assert.ok(dataOf('private').equals(read('private') as Buffer));
      assert.equal(await readByOther(shown('private')), DENIED);
    });
  });
}
