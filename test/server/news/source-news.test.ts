/** Records follow what other programs do, and no changed byte is trusted. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { makeFileSystem, type TestFileSystem } from '../../harness/file-systems.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { NEEDS_ROOT } from '../../harness/other-user.ts';
import { Library } from './library.ts';

const run = promisify(execFile);

async function exchange(one: string, other: string): Promise<void> {
  const script = 'import ctypes,sys,os\nl=ctypes.CDLL(None,use_errno=True)\na,b=map(os.fsencode,sys.argv[1:3])\n';
  await run('python3', ['-c', `${script}assert l.renameat2(-100,a,-100,b,2)==0,ctypes.get_errno()`, one, other]);
}

/** Overwrites the first byte, and sets the mtime back. */
async function forge(path: string): Promise<void> {
  const { mtimeNs } = await fs.stat(path, { bigint: true });
  const file = await fs.open(path, 'r+');
  await file.write('X', 0);
  await file.close();
  await run('touch', ['-d', `@${mtimeNs / 10n ** 9n}.${String(mtimeNs % 10n ** 9n).padStart(9, '0')}`, path]);
}

for (const [kind, watch] of [
  ['ext4', {}],
  ['xfs', {}],
  ['btrfs', {}],
  ['ext4', { wholeFileSystems: false }],
  ['ext4', { fanotify: false }],
] as const) {
  const whole = Object.keys(watch).length === 0;
  const name = whole ? 'whole' : 'fanotify' in watch ? 'inotify' : 'by folders';
  describe(`news of sources on ${kind}, ${name}`, { skip: NEEDS_ROOT }, () => {
    let disk: TestFileSystem;
    let library: Library;

    before(async () => {
      disk = await makeFileSystem(kind, temporaryFolder('news'));
    });

    beforeEach(async () => {
      for (const left of await fs.readdir(disk.path)) {
        if (left !== 'lost+found') await fs.rm(`${disk.path}/${left}`, { recursive: true });
      }
      await fs.mkdir(`${disk.path}/films`);
      library = await Library.open(`${disk.path}/films`, { watch });
    });

    afterEach(async () => {
      await library.close();
    });

    after(async () => {
      await disk.close();
    });

    it('records a renamed file in its new place within a second, and trusts it', async () => {
      const [id = 0] = await library.add('show/a');
      await library.see([id]);
      await fs.rename(library.at('show/a'), library.at('show/b'));
      await library.until(id, 'show/b: trusted', 1000);
      assert.equal(library.record(id).ctimeNs, (await fs.stat(library.at('show/b'), { bigint: true })).ctimeNs);
      assert.equal(library.noted.size, 0);
      // It is still seen: the next rename is explained as well.
      await fs.rename(library.at('show/b'), library.at('show/c'));
      await library.until(id, 'show/c: trusted', 1000);
    });

    it('doubts a renamed file that nobody had looked at', async () => {
      const [id = 0, other = 0] = await library.add('show/a', 'show/other');
      await library.see([other]);
      await fs.rename(library.at('show/a'), library.at('show/b'));
      await library.until(id, 'show/b: doubted');
    });

    it('trusts a file whose mode was changed, and doubts one that was touched', async () => {
      const [id = 0, touched = 0] = await library.add('show/a', 'show/b');
      await library.see([id, touched]);
      await fs.chmod(library.at('show/a'), 0o600);
      await fs.utimes(library.at('show/b'), 1, 1);
      await library.until(touched, 'show/b: doubted');
      await library.watching.settled();
      await library.until(id, 'show/a: trusted');
      assert.equal(library.record(id).ctimeNs, (await fs.stat(library.at('show/a'), { bigint: true })).ctimeNs);
    });

    it('doubts a file that was written to, whatever its mtime says', async () => {
      const [id = 0, renamed = 0] = await library.add('show/a', 'show/b');
      await library.see([id, renamed]);
      await forge(library.at('show/a'));
      await library.until(id, 'show/a: doubted');
      await fs.rename(library.at('show/b'), library.at('show/b2'));
      await forge(library.at('show/b2'));
      await fs.chmod(library.at('show/b2'), 0o600);
      await library.until(renamed, 'show/b2: doubted');
    });

    it('doubts a file that was written to by another of its names', async () => {
      const [id = 0] = await library.add('show/a');
      await fs.mkdir(library.at('elsewhere'));
      await fs.link(library.at('show/a'), library.at('elsewhere/link'));
      const [linked = 0] = await library.add('show/b');
      await library.see([linked]);
      // The link was made after the file was recorded, so it is not seen as recorded.
      await library.watching.settled();
      await fs.link(library.at('show/b'), library.at('elsewhere/b'));
      await library.watching.settled();
      await forge(library.at('elsewhere/b'));
      await fs.chmod(library.at('show/b'), 0o600);
      if (whole) await library.until(linked, 'show/b: doubted');
      else {
        await library.watching.settled();
        const { ctimeNs } = await fs.stat(library.at('show/b'), { bigint: true });
        const trusted = library.stateOf(linked) === 'show/b: trusted' && library.record(linked).ctimeNs === ctimeNs;
        assert.equal(trusted, false);
      }
      assert.notEqual(library.record(id).ctimeNs, (await fs.stat(library.at('show/a'), { bigint: true })).ctimeNs);
    });

    it('doubts a file that somebody still has mapped for writing', async () => {
      const [id = 0] = await library.add('show/a');
      await library.see([id]);
      const script = [
        'import mmap,os,sys',
        'p=sys.argv[1]; s=os.stat(p); f=os.open(p,os.O_RDWR); m=mmap.mmap(f,0)',
        'os.close(f); m[0:1]=b"X"; os.utime(p,ns=(s.st_atime_ns,s.st_mtime_ns)); print("ready",flush=True)',
        'sys.stdin.read()',
      ].join('\n');
      const writer = spawn('python3', ['-c', script, library.at('show/a')], { stdio: ['pipe', 'pipe', 'inherit'] });
      await once(writer.stdout, 'data');
      await library.until(id, 'show/a: doubted');
      writer.stdin.end();
      await once(writer, 'exit');
    });

    it('follows files that are renamed in two steps, one by one', async () => {
      const names = Array.from({ length: 60 }, (_, i) => `show/${i}`);
      const ids = await library.add(...names);
      await library.see(ids);
      for (const name of names) {
        await fs.rename(library.at(name), library.at(`${name}.partial~`));
        await fs.rename(library.at(`${name}.partial~`), library.at(`${name} final`));
      }
      for (const [i, id] of ids.entries()) await library.until(id, `show/${i} final: trusted`);
    });

    it('follows two files that swap names', async () => {
      const [a = 0, b = 0] = await library.add('show/a', 'show/b b');
      await library.see([a, b]);
      await exchange(library.at('show/a'), library.at('show/b b'));
      await library.until(a, 'show/b b: trusted');
      await library.until(b, 'show/a: trusted');
      await fs.rename(library.at('show/a'), library.at('show/c'));
      await fs.rename(library.at('show/b b'), library.at('show/a'));
      await fs.rename(library.at('show/c'), library.at('show/b b'));
      await library.until(a, 'show/a: trusted');
      await library.until(b, 'show/b b: trusted');
    });

    it('follows a folder of many files without touching them', async () => {
      const names = Array.from({ length: kind === 'xfs' ? 10_000 : 1000 }, (_, i) => `show/season/${i % 10}/${i}`);
      const ids = await library.add(...names);
      await library.see(ids.slice(0, 1));
      const before = ids.map((id) => library.record(id));
      await fs.rename(library.at('show'), library.at('tv'));
      // 10 s on a machine that does nothing else.
      await library.until(ids.at(-1) ?? 0, `tv/season/9/${ids.length - 1}: trusted`, 60_000);
      await library.watching.settled();
      for (const [i, id] of ids.entries()) {
        assert.equal(library.stateOf(id), `tv/season/${i % 10}/${i}: trusted`);
        assert.deepEqual(library.record(id), {
          ...before[i],
          path: Buffer.from(library.at(`tv/season/${i % 10}/${i}`)),
        });
      }
    });

    it('follows a folder with a source that is lost, which stays so', async () => {
      const [here = 0, lost = 0] = await library.add('show/here', 'show/lost');
      await library.see([here, lost]);
      library.store.living.setCondition(lost, { state: 'lost', reason: 'has other bytes now' });
      await fs.rename(library.at('show'), library.at('tv'));
      await library.until(here, 'tv/here: trusted');
      await library.until(lost, 'tv/lost: lost');
      assert.equal(library.noted.has(lost), false);
    });

    it('follows folders that swap names', async () => {
      const [a = 0, b = 0] = await library.add('one/x', 'other/y');
      await library.see([a, b]);
      if (name !== 'inotify') {
        await exchange(library.at('one'), library.at('other'));
        await library.until(a, 'other/x: trusted');
        await library.until(b, 'one/y: trusted');
        await exchange(library.at('one'), library.at('other'));
        await library.until(a, 'one/x: trusted');
      }
      await fs.rename(library.at('one'), library.at('tmp'));
      await fs.rename(library.at('other'), library.at('one'));
      await fs.rename(library.at('tmp'), library.at('other'));
      await library.until(a, 'other/x: trusted');
      await library.until(b, 'one/y: trusted');
    });

    it('makes a case of what is deleted, replaced or moved to where it is not seen', async () => {
      const [gone = 0, replaced = 0] = await library.add('show/gone', 'show/replaced');
      await library.see([gone, replaced]);
      await fs.rm(library.at('show/gone'));
      await fs.writeFile(library.at('show/new'), 'something else');
      await fs.rename(library.at('show/new'), library.at('show/replaced'));
      await library.until(gone, 'show/gone: healing');
      await library.until(replaced, 'show/replaced: doubted');
      assert.equal(library.noted.get(gone), true);
      assert.equal(library.noted.get(replaced), false);
    });

    it('makes cases of a folder that goes where no source may lie, until it is back', async () => {
      const ids = await library.add('show/a', 'show/season/b');
      await library.see(ids);
      const [a = 0, b = 0] = ids;
      const away = `${disk.path}/away`;
      await fs.rename(library.at('show'), away);
      await library.until(a, 'show/a: healing');
      await library.until(b, 'show/season/b: healing');
      assert.deepEqual(
        [...library.noted],
        [a, b].map((id) => [id, false]),
      );
      await fs.rename(away, library.at('show'));
      await library.until(a, 'show/a: trusted');
      await library.until(b, 'show/season/b: trusted');
    });

    it('has sources of a disk that is unmounted wait, until it is back', async () => {
      const [id = 0] = await library.add('show/a');
      await library.see([id]);
      await library.watching.started;
      await disk.umount();
      await library.until(id, 'show/a: waiting');
      await disk.mount();
      await library.until(id, 'show/a: trusted');
    });
  });
}
