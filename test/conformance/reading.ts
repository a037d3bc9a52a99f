/**
 * The rules for mapped files, for every mount and the bare vfs: they are shown as planned, read byte for byte, and never
 * served wrong when a source changes.
 */
import assert from 'node:assert/strict';
import { truncateSync } from 'node:fs';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { waitUntil } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { fileOf, planOf, sourceOf } from '../harness/plans.ts';
import type { Calls } from './calls.ts';
import { ConformanceEntry } from './entry.ts';
import type { OpenSubject, Subject } from './subject.ts';

const EIO = { code: 'EIO' };

/** Reads at places that look random and are the same in every run. */
async function readAtRandom(calls: Calls, path: string, expected: Buffer, seed: number): Promise<void> {
  const file = await calls.open(path);
  try {
    let state = seed;
    for (let i = 0; i < 200; i++) {
      state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
      const position = state % expected.length;
      const length = 1 + (state % 200_000);
      const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, position);
      assert.ok(buffer.subarray(0, bytesRead).equals(expected.subarray(position, position + length)));
    }
  } finally {
    await file.close();
  }
}

/** `name` names the subject. */
export function runReading(name: string, open: OpenSubject): void {
  describe(`reading from ${name}`, () => {
    let root: string;
    let calls: Calls;
    let subject: Subject;
    let entry: ConformanceEntry;
    let digest: string;
    const at = (...path: readonly string[]) => join(root, 'Entry', ...path);
    const text = async (path: string): Promise<string> => (await calls.readFile(path)).toString();
    const until = async (holds: () => Promise<boolean>): Promise<void> => await waitUntil('the file system', holds);

    before(async () => {
      const folder = temporaryFolder('reading');
      entry = await ConformanceEntry.in(folder);
      digest = await entry.digest();
      subject = await open(folder);
      ({ root, calls } = subject);
      await subject.create(entry.plan());
    });
    after(async () => await subject?.close());

    it('shows entries, files, sizes, modes, times and link counts', async () => {
      assert.deepEqual(await calls.readdir(root), ['Entry']);
      assert.deepEqual((await calls.readdir(at('T'))).length, 9);
      const file = await calls.stat(at('T', 'data.bin'));
      assert.equal(file.size, entry.bytes.length);
      assert.equal(file.mode, 0o100644);
      assert.equal(file.nlink, 1);
      assert.equal(file.mtimeMs, 1_600_000_000_123);
      assert.equal(file.blocks, Math.ceil(entry.bytes.length / 512));
      assert.equal((await calls.stat(at('T', 'run.sh'))).mode, 0o100755);
      const folder = await calls.stat(at('T'));
      assert.equal(folder.mode, 0o040755);
      assert.equal(folder.nlink, 5);
      assert.equal((await calls.stat(root)).ino, 1);
    });

    it('reads extents, pads and gaps as one file', async () => {
      assert.ok(entry.mixed.equals(await calls.readFile(at('T', 'mixed.bin'))));
      assert.equal((await calls.readFile(at('T', 'empty.bin'))).length, 0);
      assert.equal(await text(at('T', 'run.sh')), 'Latin-1 name');
    });

    it('reads at random from several readers at once', async () => {
      await Promise.all(
        [1, 2, 3, 4].flatMap((seed) => [
          readAtRandom(calls, at('T', 'mixed.bin'), entry.mixed, seed),
          readAtRandom(calls, at('T', 'data.bin'), entry.bytes, seed),
        ]),
      );
    });

    it('reads beyond 4 GiB, and nothing beyond the end', async () => {
      const file = await calls.open(at('T', 'big.bin'));
      try {
        for (const place of entry.bigPlaces) {
          const { buffer } = await file.read(Buffer.alloc(16), 0, 16, place);
          assert.equal(buffer.toString(), `${place}`.padStart(16, '.'));
        }
        assert.equal((await file.read(Buffer.alloc(16), 0, 16, entry.big)).bytesRead, 0);
        assert.equal((await file.read(Buffer.alloc(16), 0, 16, entry.big - 5)).bytesRead, 5);
      } finally {
        await file.close();
      }
    });

    it('takes names in any script, deep paths, large folders, and symlinks', async () => {
      assert.equal((await calls.readFile(at('T', '日本語 Ελληνικά עברית 🎬 é.mkv'))).length, 9);
      assert.equal((await calls.readdir(at('T', 'many'))).length, 10_500);
      const leaf = at('T', ...entry.deep, 'leaf');
      assert.ok(leaf.length > 1500);
      assert.equal((await calls.readFile(leaf)).length, 3);
      assert.equal(await calls.readlink(at('T', 'sub', 'link')), '../data.bin');
      assert.equal((await calls.stat(at('T', 'sub', 'link'))).size, entry.bytes.length);
    });

    it('answers what is not there with the right errno', async () => {
      await assert.rejects(calls.stat(at('T', 'nothing')), { code: 'ENOENT' });
      await assert.rejects(calls.stat(at('T', 'data.bin', 'below')), { code: 'ENOTDIR' });
      await assert.rejects(calls.readlink(at('T', 'data.bin')), { code: 'EINVAL' });
      await assert.rejects(calls.readdir(at('T', 'data.bin')), { code: 'ENOTDIR' });
      await assert.rejects(calls.readFile(at('T')), { code: 'EISDIR' });
      await assert.rejects(calls.stat(at('T', 'é'.repeat(128))), { code: 'ENAMETOOLONG' });
    });

    it('shows names that no disk takes, in any script, and refuses to make them elsewhere', async () => {
      const names = ['x'.repeat(256), 'y'.repeat(1023), 'é'.repeat(511), '日'.repeat(341), `${'😀'.repeat(255)}abc`];
      const bytes = { length: 5, source: 0, sourceOffset: 0 };
      const files = names.map((name) => fileOf([name, name], [bytes]));
      const { sources } = entry.plan();
      const plan = planOf('Long', sources.slice(0, 1), files);
      await subject.create(plan);
      const below = (...path: readonly string[]) => join(root, 'Long', ...path);
      assert.deepEqual((await calls.readdir(below())).toSorted(), names.toSorted());
      for (const name of names) {
        assert.deepEqual(await calls.readdir(below(name)), [name]);
        assert.equal((await calls.readFile(below(name, name))).length, 5);
      }
      await subject.addNames(plan.infoHash, [['x'.repeat(240), 'z'.repeat(1000)]]);
      const [own, alias] = [below(names[0]!, names[0]!), below('x'.repeat(240), 'z'.repeat(1000))];
      assert.equal((await calls.stat(alias)).ino, (await calls.stat(own)).ino);
      await assert.rejects(calls.stat(below('w'.repeat(300))), { code: 'ENOENT' });
      await assert.rejects(calls.stat(below('w'.repeat(1024))), { code: 'ENAMETOOLONG' });
      await assert.rejects(calls.stat(at('T', 'w'.repeat(300))), { code: 'ENAMETOOLONG' });
      await calls.rename(own, `${own}.part`);
      assert.equal((await calls.stat(`${own}.part`)).size, 5);
      await assert.rejects(calls.rename(`${own}.part`, below('w'.repeat(1024))), { code: 'ENAMETOOLONG' });
      await subject.remove(plan.infoHash);
      assert.deepEqual(await calls.readdir(root), ['Entry']);
    });

    it('shows further names of a file, and refuses two files for one name', async () => {
      const { infoHash } = planOf('Entry', [], []);
      await subject.addNames(infoHash, [['T_', 'data_.bin'], undefined, ['T_', 'sub', 'big']]);
      assert.equal((await calls.stat(at('T_', 'data_.bin'))).ino, (await calls.stat(at('T', 'data.bin'))).ino);
      assert.equal((await calls.stat(at('T_', 'data_.bin'))).nlink, 2);
      assert.equal((await calls.stat(at('T_', 'sub', 'big'))).size, entry.big);
      await subject.addNames(infoHash, [['T_', 'data_.bin']]);
      await assert.rejects(subject.addNames(infoHash, [undefined, ['T_', 'data_.bin']]), /two files/);
      await assert.rejects(subject.addNames(infoHash, [['..', 'x']]), /cannot be shown/);
    });

    it('answers EIO for a source that changed, with one line of log, and heals without a stale page', async () => {
      const path = join(entry.sources, 'changing');
      const write = async (text: string, mtime: number): Promise<void> => {
        await fs.writeFile(path, text);
        await fs.utimes(path, mtime, mtime);
      };
      await write('the right bytes', 1000);
      const file = fileOf(['c'], [{ length: 15, source: 0, sourceOffset: 0 }]);
      await subject.create(planOf('Changing', [sourceOf(path)], [file]));
      const shown = join(root, 'Changing', 'c');
      const open = await calls.open(shown);
      try {
        await write('the wrong bytes', 2000);
        // Within the window of a second this may still be answered, and the kernel may keep its page.
        await open.read(Buffer.alloc(15), 0, 15, 0).catch(() => {});
        await assert.rejects(calls.readFile(shown), EIO);
        await assert.rejects(calls.readFile(shown), EIO);
        const { broken } = await subject.status();
        assert.deepEqual(
          broken.map((source) => [Buffer.from(source.path).toString(), source.entries, source.reason]),
          [[path, ['Changing'], 'it was modified']],
        );
        assert.equal(subject.log.split('changing').length, 2, subject.log);
        await write('the right bytes', 1000);
        await until(async () => (await text(shown).catch(() => '')) === 'the right bytes');
        assert.deepEqual((await subject.status()).broken, []);
      } finally {
        await open.close();
      }
      await subject.remove(planOf('Changing', [], []).infoHash);
      assert.deepEqual(await calls.readdir(root), ['Entry']);
      await fs.unlink(path);
    });

    it('goes on when a source vanishes, and serves it again when it is back', async () => {
      const path = join(entry.sources, 'vanishing');
      await fs.writeFile(path, 'here');
      await subject.create(
        planOf('Vanishing', [sourceOf(path)], [fileOf(['v'], [{ length: 4, source: 0, sourceOffset: 0 }])]),
      );
      const shown = join(root, 'Vanishing', 'v');
      await fs.rename(path, `${path}-away`);
      await assert.rejects(calls.readFile(shown), EIO);
      assert.equal((await subject.status()).broken.length, 1);
      await fs.rename(`${path}-away`, path);
      await until(async () => (await text(shown).catch(() => '')) === 'here');
      assert.deepEqual((await subject.status()).broken, []);
      const open = await calls.open(shown);
      try {
        await fs.rename(path, `${path}-away`);
        assert.equal((await open.read(Buffer.alloc(4), 0, 4, 0)).bytesRead, 4, 'an open file keeps its source');
      } finally {
        await open.close();
      }
      await until(async () => (await subject.status()).openFiles === 0);
      assert.equal(await text(shown), 'here', 'it is held open for a while');
      await fs.rename(`${path}-away`, path);
      await subject.remove(planOf('Vanishing', [], []).infoHash);
      await fs.unlink(path);
    });

    it('serves a spare where there is one', async () => {
      const [first, second] = [join(entry.sources, 'first'), join(entry.sources, 'second')];
      await fs.writeFile(first, 'same');
      await fs.writeFile(second, 'same');
      const file = fileOf(['s'], [{ length: 4, source: 0, sourceOffset: 0 }]);
      await subject.create(planOf('Spare', [sourceOf(first, [1]), sourceOf(second)], [file]));
      await fs.unlink(first);
      assert.equal(await text(join(root, 'Spare', 's')), 'same');
      const { broken } = await subject.status();
      assert.equal(Buffer.from(broken[0]?.spare ?? '').toString(), second);
      await subject.remove(planOf('Spare', [], []).infoHash);
      await fs.unlink(second);
    });

    it('notices a source that is cut short while it is read', async () => {
      const path = join(entry.sources, 'cut');
      await fs.writeFile(path, Buffer.alloc(300_000, 1));
      await subject.create(
        planOf('Cut', [sourceOf(path)], [fileOf(['c'], [{ length: 300_000, source: 0, sourceOffset: 0 }])]),
      );
      const open = await calls.open(join(root, 'Cut', 'c'));
      try {
        truncateSync(path, 10);
        await assert.rejects(open.read(Buffer.alloc(1000), 0, 1000, 290_000), EIO);
      } finally {
        await open.close();
      }
      await subject.remove(planOf('Cut', [], []).infoHash);
      await fs.unlink(path);
    });

    it('has touched no source', async () => {
      assert.equal(await entry.digest(), digest);
    });
  });
}
