/** The watch on real file systems: what programs do to files is reported, however they do it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { promisify } from 'node:util';
import type { SourceWatchOptions } from '../../src/watch/source-watch.ts';
import { FILE_SYSTEM_KINDS, makeFileSystem, type TestFileSystem } from '../harness/file-systems.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { Watching } from './watching.ts';

const run = promisify(execFile);
const bytes = (...parts: readonly string[]): Buffer => Buffer.from(join(...parts));

/** RENAME_EXCHANGE, for which neither Node nor mv(1) has a name. */
async function exchange(one: string, other: string): Promise<void> {
  const script = 'import ctypes,sys,os\nl=ctypes.CDLL(None,use_errno=True)\na,b=map(os.fsencode,sys.argv[1:3])\n';
  await run('python3', ['-c', `${script}assert l.renameat2(-100,a,-100,b,2)==0,ctypes.get_errno()`, one, other]);
}

const MODES = [
  ['as the kernel allows', {}],
  ['by folders', { wholeFileSystems: false }],
  ['by inotify', { fanotify: false }],
] as const satisfies readonly (readonly [string, Partial<SourceWatchOptions>])[];

for (const kind of FILE_SYSTEM_KINDS) {
  for (const [name, options] of MODES) {
    const named = name === 'by inotify' ? '' : ' [1]';
    const whole = name === MODES[0][0] && ['ext4', 'xfs', 'btrfs'].includes(kind);
    describe(`the watch on ${kind}, ${name}`, { skip: NEEDS_ROOT }, () => {
      let disk: TestFileSystem;
      let base: string;
      let watching: Watching;
      const at = (...parts: readonly string[]): string => join(base, ...parts);
      const expect = async (...texts: readonly string[]): Promise<void> => {
        const found = (await watching.take()).filter((text) => !/^(closed|mounts-changed)/.test(text));
        assert.deepEqual(found, texts);
      };

      before(async () => {
        disk = await makeFileSystem(kind, temporaryFolder('watch'));
        base = disk.path;
      });

      beforeEach(async (context) => {
        await watching?.watch.close();
        for (const left of await fs.readdir(base)) {
          if (left !== 'lost+found') await fs.rm(at(left), { recursive: true });
        }
        await fs.mkdir(at('show', 'season'), { recursive: true });
        await fs.mkdir(at('other'));
        await fs.writeFile(at('show/season/a'), 'aaaa');
        await fs.writeFile(at('show/season/b'), 'bbbb');
        watching = new Watching(base, options);
        assert.ok((await watching.watch.follow(1, bytes(base, 'show/season/a'))) !== undefined, context.name);
        await watching.take();
      });

      after(async () => {
        await watching?.watch.close();
        await disk?.close();
      });

      it('leaves out what we keep ourselves', async () => {
        await fs.writeFile(at('film'), 'film');
        assert.ok((await watching.watch.follow(2, bytes(base, 'film'))) !== undefined);
        await watching.take();
        const own = at('.autotorrent', 'kept-1', 'x');
        await fs.mkdir(own, { recursive: true });
        await fs.writeFile(join(own, 'film'), 'film');
        assert.deepEqual(await watching.watch.know([Buffer.from(own)]), []);
        assert.equal(await watching.watch.follow(3, bytes(own, 'film')), undefined);
        await watching.watch.mark([Buffer.from(own)]);
        await fs.appendFile(join(own, 'film'), 'more');
        await fs.utimes(join(own, 'film'), 1, 1);
        await fs.mkdir(at('.autotorrent', 'found'));
        await fs.rename(own, at('.autotorrent', 'found', 'x'));
        await fs.rm(at('.autotorrent'), { recursive: true });
        await expect();
      });

      it('says what kind it is', () => {
        const { kind: found, limited } = watching.watch.facts;
        assert.equal(found, whole ? 'fanotify-filesystem' : name === 'by inotify' ? 'inotify' : 'fanotify-folders');
        assert.equal(limited, false);
      });

      it('reports a rename in place, a write, a change of attributes, a deletion', async () => {
        await fs.rename(at('show/season/a'), at('show/season/a2'));
        await watching.until(`renamed show/season/a -> show/season/a2${named}`, 1000);
        await expect(`renamed show/season/a -> show/season/a2${named}`);
        await fs.appendFile(at('show/season/a2'), 'x');
        await expect(`written show/season/a2${named}`);
        await fs.utimes(at('show/season/a2'), 1, 1);
        await expect(`attributes show/season/a2${named}`);
        await fs.rm(at('show/season/a2'));
        await expect(...(whole ? [`attributes ?${named}`] : []), `deleted show/season/a2${named}`);
      });

      it('reports a write that is followed by a change of the mtime', async () => {
        await fs.appendFile(at('show/season/a'), 'x');
        await fs.utimes(at('show/season/a'), 1, 1);
        await expect(`written show/season/a${named}`, `attributes show/season/a${named}`);
      });

      it('knows where a file is when folders above it were renamed', async () => {
        await fs.rename(at('show/season'), at('show/season 2'));
        await fs.rename(at('show'), at('show 2'));
        await expect('renamed folder show/season -> show/season 2', 'renamed folder show -> show 2');
        await fs.appendFile(at('show 2/season 2/a'), 'x');
        await expect(`written show 2/season 2/a${named}`);
        // The watch may read of the first when the second is done.
        for (let round = 0; round < 30; round++) {
          const [from, to] = round % 2 === 0 ? [' 2', ''] : ['', ' 2'];
          await fs.rename(at(`show${from}/season${from}`), at(`show${from}/season${to}`));
          await fs.rename(at(`show${from}`), at(`show${to}`));
          await expect(
            `renamed folder show${from}/season${from} -> show${from}/season${to}`,
            `renamed folder show${from} -> show${to}`,
          );
        }
      });

      it('tells two files that were exchanged from each other', async () => {
        await watching.watch.follow(2, bytes(base, 'show/season/b'));
        if (kind === 'fuse' || kind === 'mergerfs') {
          await fs.rename(at('show/season/a'), at('show/season/c'));
          await fs.rename(at('show/season/b'), at('show/season/a'));
          await fs.rename(at('show/season/c'), at('show/season/b'));
          return;
        }
        await exchange(at('show/season/a'), at('show/season/b'));
        const [one, other] = named === '' ? ['', ''] : [' [1]', ' [2]'];
        await expect(`renamed show/season/a -> show/season/b${one}`, `renamed show/season/b -> show/season/a${other}`);
      });

      it('follows a folder that is moved out of sight and back', async () => {
        const away = at('other', 'deep');
        await fs.mkdir(away);
        await watching.take();
        await fs.rename(at('show/season'), join(away, 'season'));
        if (whole) await expect('renamed folder show/season -> other/deep/season');
        else await expect('left folder show/season');
        await fs.rename(join(away, 'season'), at('show/season'));
        if (whole) await expect('renamed folder other/deep/season -> show/season');
        else await expect('appeared folder show/season');
        await watching.watch.follow(1, bytes(base, 'show/season/a'));
        await fs.appendFile(at('show/season/a'), 'x');
        await expect(`written show/season/a${named}`);
      });

      it('takes any name', async () => {
        for (const to of [Buffer.from('new\nline'), Buffer.from([0xff, 0xfe, 0x20]), Buffer.alloc(255, 'n')]) {
          const path = Buffer.concat([bytes(base, 'show/season/'), to]);
          await fs.rename(at('show/season/a'), path);
          await expect(`renamed show/season/a -> show/season/${to.toString('latin1')}${named}`);
          await fs.rename(path, at('show/season/a'));
          await watching.take();
        }
        await fs.rename(at('show/season'), at('show/season (deleted)'));
        await expect('renamed folder show/season -> show/season (deleted)');
        await fs.appendFile(at('show/season (deleted)/a'), 'x');
        await expect(`written show/season (deleted)/a${named}`);
      });

      it('keeps what happens elsewhere to itself', async () => {
        for (let i = 0; i < 200; i++) await fs.appendFile(at('other', `part ${i % 7}`), 'x'.repeat(1000));
        await fs.mkdir(at('other', 'new'));
        await fs.rename(at('other', 'part 0'), at('other', 'new', 'part 0'));
        await expect();
      });

      it('keeps no disk from being unmounted, and watches it when it is back', async () => {
        await disk.umount();
        await watching.until('mounts-changed');
        await disk.mount();
        await watching.watch.fence();
        assert.ok((await watching.watch.follow(1, bytes(base, 'show/season/a'))) !== undefined);
        await watching.take();
        await fs.rename(at('show/season/a'), at('show/season/a2'));
        await expect(`renamed show/season/a -> show/season/a2${named}`);
      });
    });
  }
}
