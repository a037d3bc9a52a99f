import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { constants } from 'node:fs';
import { cp, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { hasBit } from '../../../src/extent/bitfield.ts';
import type { Difference } from '../../../src/store/overlay/differences.ts';
import type { Store } from '../../../src/store/store.ts';
import { RENAME_EXCHANGE } from '../../../src/vfs/operations.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { fileSystemOver } from '../../harness/volume.ts';
import { hashOf, inoOf, letters, tree, withStore } from '../fixture.ts';
import { DATA, diverge, plannedEntry, snapshot, write } from './diverged.ts';

const E = hashOf('E');

async function differences(store: Store): Promise<Difference[]> {
  const found: Difference[] = [];
  for await (const difference of store.differences(E)) found.push(difference);
  return found;
}

const pathsOf = async (store: Store): Promise<Set<string>> =>
  new Set((await differences(store)).map(({ path }) => path.join('/')));

const overlayFiles = async (folder: string): Promise<string[]> =>
  (await readdir(join(folder, 'overlay'), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && !entry.name.startsWith('journal-'))
    .map((entry) => entry.name);

describe('what differs from what was planned', () => {
  let folder: string;
  beforeEach(async () => {
    folder = temporaryFolder('overlay');
  });

  it('is found, each with what became of it', async () => {
    await withStore(folder, async (store) => {
      await plannedEntry(store, folder);
      assert.deepEqual(await differences(store), []);
      await diverge(store, fileSystemOver(store, folder));
      const found = await differences(store);
      const shown = found
        .filter(({ path }) => path[1] !== 'many')
        .map((d) => [
          d.path.join('/'),
          d.changes.join(' '),
          d.size,
          d.writtenBytes,
          d.strays.map((s) => s.path.join('/')).join(' '),
        ]);
      assert.deepEqual(
        shown.toSorted((a, b) => (`${a[0]} ${a[1]}` < `${b[0]} ${b[1]}` ? -1 : 1)),
        [
          ['.parts', 'made', 5, 5, '.parts'],
          ['T/a', 'moved', DATA.length, 0, 'T/b'],
          ['T/al', 'moved', DATA.length, 0, 'T/alias.!qB'],
          ['T/b', 'moved', DATA.length, 0, 'T/a'],
          ['T/cut', 'resized', 5, 0, ''],
          ['T/file too', 'made', 4, 4, 'T/file too'],
          ['T/gap', 'written', DATA.length, DATA.length, ''],
          ['T/gone', 'deleted', DATA.length, 0, ''],
          ['T/link', 'deleted', 4, 0, ''],
          ['T/link', 'made', 0, 0, 'T/link'],
          ['T/long', 'written resized', 5 * 4096, 4096, ''],
          ['T/made link', 'made', 0, 0, 'T/made link'],
          ['T/moved', 'made', 12, 12, 'T/moved'],
          ['T/moved', 'moved written', DATA.length, 4096, 'T/moved.part'],
          ['T/new', 'made', 0, 0, 'T/new'],
          ['T/new/deep', 'made', 0, 0, 'T/new/deep'],
          ['T/new/deep/file', 'made', 4, 4, 'T/new/deep/file'],
          ['T/replaced', 'replaced', 7, 7, ''],
          ['T/sub/x', 'moved', DATA.length, 0, 'T/sub2/x'],
          ['T/sub/y', 'moved', DATA.length, 0, 'T/y'],
          ['T/sub2', 'made', 0, 0, 'T/sub2'],
          ['T/touched', 'touched', DATA.length, 0, ''],
          ['T/written', 'written', DATA.length, 4096, ''],
        ],
      );
    });
  });

  it('is no other size where what was cut off is written again', async () => {
    await withStore(folder, async (store) => {
      await plannedEntry(store, folder);
      const fs = fileSystemOver(store, folder);
      const ino = inoOf(store, 'E/T/gap');
      await fs.setattr(ino, { size: 0 });
      await write(fs, ino, 0, Buffer.alloc(DATA.length - 1, 'g'));
      assert.deepEqual((await differences(store))[0]?.changes, ['written', 'resized']);
      await write(fs, ino, DATA.length - 1, Buffer.from('g'));
      assert.deepEqual((await differences(store))[0]?.changes, ['written']);
      await fs.setattr(ino, { size: 4096 });
      await fs.setattr(ino, { size: DATA.length });
      assert.deepEqual((await differences(store))[0]?.changes, ['written', 'resized']);
    });
  });

  it('has ranges, joined over the chunks of the record', async () => {
    await withStore(folder, async (store) => {
      await plannedEntry(store, folder);
      const fs = fileSystemOver(store, folder);
      const ino = inoOf(store, 'E/T/long');
      await write(fs, ino, 4095 * 4096, Buffer.alloc(3 * 4096, 'x'));
      await write(fs, ino, 0, Buffer.alloc(1, 'x'));
      const ranges = [];
      for await (const page of store.writtenRanges(ino)) ranges.push(...page);
      assert.deepEqual(ranges, [
        [0, 4096],
        [4095 * 4096, 4098 * 4096],
      ]);
    });
  });
});

describe('discard', () => {
  let folder: string;
  beforeEach(async () => {
    folder = temporaryFolder('overlay');
  });

  it('makes an entry as it was planned, and stays so', async () => {
    const before = await withStore(folder, async (store) => {
      await plannedEntry(store, folder);
      const before = await snapshot(store);
      const changed: number[] = [];
      const fs = fileSystemOver(store, folder);
      store.watch({ bytesChanged: (entry) => void changed.push(entry) });
      await diverge(store, fs);
      changed.length = 0;
      const { kept } = await store.discard(E, undefined, fs.quiet);
      assert.deepEqual(kept, []);
      assert.deepEqual(await snapshot(store), before);
      assert.deepEqual(await differences(store), []);
      assert.ok(changed.length > 0, 'whoever verifies is told');
      const handle = await fs.open(inoOf(store, 'E/T/written'), constants.O_RDONLY);
      const read = Buffer.alloc(DATA.length);
      assert.equal(await fs.read(handle, read, 0), DATA.length);
      await fs.release(handle);
      assert.deepEqual(read, DATA);
      assert.deepEqual(await store.discard(E, undefined, fs.quiet), { files: 0, bytes: 0, kept: [] });
      return before;
    });
    assert.deepEqual(await overlayFiles(folder), []);
    await withStore(folder, async (store, level) => {
      await store.recovered;
      assert.deepEqual(await snapshot(store), before);
      assert.doesNotMatch(await letters(level), /[OWZG]/);
    });
  });

  it('takes back the verified pieces whose bytes change, and no others', async () => {
    await withStore(folder, async (store) => {
      await plannedEntry(store, folder);
      const fs = fileSystemOver(store, folder);
      await write(fs, inoOf(store, 'E/T/many/200'), 4096, Buffer.alloc(4096, 'x'));
      const pieceCount = store.entry(E)?.pieceCount ?? 0;
      // The state after a verification of the written bytes.
      const since = await store.verificationBegun(E);
      const good = Buffer.alloc(Math.ceil(pieceCount / 8), 0xff);
      await store.verificationEnded(E, { since, good, bad: Buffer.alloc(0) });
      await store.discard(E, undefined, fs.quiet);
      const offset = store.inode(inoOf(store, 'E/T/many/200'))?.torrentOffset ?? 0;
      const map = store.pieceMap(E) ?? Buffer.alloc(0);
      const unverified = Array.from({ length: pieceCount }, (_, i) => i).filter((piece) => !hasBit(map, piece));
      const [first, last] = [offset + 4096, offset + 2 * 4096 - 1].map((at) => Math.floor(at / 16384));
      assert.deepEqual(unverified, [...new Set([first, last])]);
      assert.ok((await store.verificationBegun(E)) > since, 'a verification that runs is told');
    });
  });

  it('takes back the verified pieces of a file that had the place of a deleted one', async () => {
    await withStore(folder, async (store) => {
      await plannedEntry(store, folder);
      const fs = fileSystemOver(store, folder);
      const [top, planned] = [inoOf(store, 'E/T'), inoOf(store, 'E/T/gap')];
      await fs.unlink(top, 'gap');
      const { attributes, handle } = await fs.create(top, 'gap', 0o644, constants.O_RDWR);
      await fs.write(handle, Buffer.alloc(DATA.length, 'g'), 0);
      await fs.release(handle);
      const since = await store.verificationBegun(E);
      const all = Buffer.alloc((store.pieceMap(E) ?? assert.fail()).length, 0xff);
      await store.verificationEnded(E, { since, good: all, bad: Buffer.alloc(0) });
      assert.notEqual(store.inode(attributes.ino)?.torrentOffset, undefined);
      const [difference] = await differences(store);
      assert.deepEqual(difference?.changes, ['replaced']);
      const { kept } = await store.discard(E, ['T/gap'], fs.quiet);
      assert.deepEqual(kept, []);
      assert.equal(inoOf(store, 'E/T/gap'), planned);
      const { torrentOffset = 0 } = store.inode(planned) ?? {};
      const map = store.pieceMap(E) ?? assert.fail();
      assert.ok(!hasBit(map, Math.floor(torrentOffset / 16384)));
      assert.ok(hasBit(map, Math.floor(torrentOffset / 16384) - 1));
    });
  });

  it('refuses what is open, and changes nothing', async () => {
    await withStore(folder, async (store) => {
      await plannedEntry(store, folder);
      const fs = fileSystemOver(store, folder);
      await diverge(store, fs);
      const before = await snapshot(store);
      const open = await fs.open(inoOf(store, 'E/T/written'), constants.O_RDONLY);
      await assert.rejects(store.discard(E, undefined, fs.quiet), {
        code: 'CONFLICT',
        message: 'a file is open in the mount: "T/written"',
        hint: /Stop the torrent/,
      });
      assert.deepEqual(await snapshot(store), before);
      // Files other than the open one.
      const { files } = await store.discard(E, ['T/many/', 'T/cut'], fs.quiet);
      assert.equal(files, 251);
      await fs.release(open);
      await store.discard(E, undefined, fs.quiet);
      assert.deepEqual(await differences(store), []);
    });
  });

  it('has whoever opens a file meanwhile wait, and read what was planned', async () => {
    await withStore(folder, async (store) => {
      await plannedEntry(store, folder);
      const fs = fileSystemOver(store, folder);
      const ino = inoOf(store, 'E/T/written');
      await write(fs, ino, 0, Buffer.alloc(DATA.length, 'w'));
      let opening: Promise<number> | undefined;
      const quiet = {
        ...fs.quiet,
        hold: (inodes: readonly number[]) => {
          const release = fs.quiet.hold(inodes);
          opening = Promise.resolve(fs.open(ino, constants.O_RDONLY));
          return release;
        },
      };
      await store.discard(E, undefined, quiet);
      const handle = await (opening ?? assert.fail());
      const read = Buffer.alloc(DATA.length);
      await fs.read(handle, read, 0);
      await fs.release(handle);
      assert.deepEqual(read, DATA);
    });
  });

  it('discards just what is named, and says what cannot have its name back', async () => {
    await withStore(folder, async (store) => {
      await plannedEntry(store, folder);
      const fs = fileSystemOver(store, folder);
      await diverge(store, fs);
      await assert.rejects(store.discard(E, ['T/written', 'T/same'], fs.quiet), {
        code: 'NOT_FOUND',
        message: /"T\/same"/,
      });
      assert.ok((await pathsOf(store)).has('T/written'), 'a typing error discards nothing');
      await store.discard(E, ['T/written', 'T/replaced', 'T/new', 'T/sub/y'], fs.quiet);
      const left = await pathsOf(store);
      for (const path of ['T/written', 'T/replaced', 'T/new', 'T/new/deep/file', 'T/sub/y'])
        assert.ok(!left.has(path), path);
      assert.ok(left.has('T/sub/x') && left.has('T/file too'));
      const top = inoOf(store, 'E/T');
      await fs.rename(top, 'same', top, 'z');
      await fs.rename(top, 'cut', top, 'same');
      const { files, kept } = await store.discard(E, ['T/z'], fs.quiet);
      assert.equal(files, 0);
      assert.deepEqual(kept, [
        { path: 'T/same', reason: 'its name belongs to another file now, which is not discarded' },
      ]);
      assert.equal(store.inode(inoOf(store, 'E/T/z'))?.nlink, 1);
      await store.discard(E, undefined, fs.quiet);
      assert.deepEqual(await differences(store), []);
    });
  });

  it('gives names back in a ring of three, and where a folder has the name', async () => {
    await withStore(folder, async (store) => {
      await plannedEntry(store, folder);
      const before = await snapshot(store);
      const fs = fileSystemOver(store, folder);
      const top = inoOf(store, 'E/T');
      await fs.rename(top, 'a', top, 'b', RENAME_EXCHANGE);
      await fs.rename(top, 'b', top, 'moved', RENAME_EXCHANGE);
      await fs.rename(top, 'cut', top, 'x');
      await fs.rename(top, 'x', (await fs.mkdir(top, 'cut', 0o755)).ino, 'inside');
      await fs.unlink(top, 'gone');
      await fs.mkdir(top, 'gone', 0o755);
      const { kept } = await store.discard(E, undefined, fs.quiet);
      assert.deepEqual(kept, []);
      assert.deepEqual(await snapshot(store), before);
    });
  });

  it('ends whole after kill -9, whichever batch was the last', { timeout: 300_000 }, async () => {
    const prepared = join(folder, 'prepared');
    const before = await withStore(prepared, async (store) => {
      await plannedEntry(store, folder);
      const before = await snapshot(store);
      await diverge(store, fileSystemOver(store, prepared));
      return before;
    });
    const script = fileURLToPath(new URL('killed-discard.js', import.meta.url));
    for (let batches = 1; ; batches++) {
      const copy = join(folder, `copy ${batches}`);
      await cp(prepared, copy, { recursive: true });
      const { stdout, stderr } = spawnSync(process.execPath, [script, copy, `${batches}`], { encoding: 'utf8' });
      await withStore(copy, async (store) => {
        await store.recovered;
        const fs = fileSystemOver(store, copy);
        // Every present file can be read: none was left half-way.
        for (const path of await tree(store)) {
          const ino = inoOf(store, path);
          if (store.inode(ino)?.type !== 'file') continue;
          const handle = await fs.open(ino, constants.O_RDONLY);
          const { size } = fs.getattr(ino);
          assert.equal(await fs.read(handle, Buffer.alloc(size), 0), size, path);
          await fs.release(handle);
        }
        assert.deepEqual(store.overlayProblems, []);
        await store.discard(E, undefined, fs.quiet);
        assert.deepEqual(await snapshot(store), before, `after ${batches} batches`);
        await store.removeEntry(E);
      });
      await withStore(copy, async (_, level) => assert.equal(await letters(level), 'CIVg'));
      if (stdout === 'done') {
        assert.ok(batches > 5, stderr);
        return;
      }
    }
  });
});
