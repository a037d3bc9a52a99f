/** Copy on write (`docs/overlay.md`), rule by rule: what a reader sees, and what lies on the disk. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { errnoOf, messageOf, posixErrorOf } from '../../src/errors.ts';
import { hasBit } from '../../src/extent/bitfield.ts';
import { OVERLAY } from '../../src/extent/extent.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { fileSystemOver } from '../harness/volume.ts';
import { BASE, patched, planFor, SOURCE, Volume } from './volume.ts';

const BLOCK = 4096;
const { infoHash } = planFor(import.meta.filename);

describe('writing over a file of the torrent', () => {
  let folder: string;
  let volume: Volume;
  beforeEach(async () => {
    folder = temporaryFolder('vfs');
    volume = await Volume.open(folder);
    await volume.store.recovered;
  });
  afterEach(async () => {
    assert.ok(fs.readFileSync(volume.source).equals(SOURCE), 'no write reaches a source');
    await volume.close();
  });

  /** The written blocks, as ranges of bytes. */
  const written = async (path: string): Promise<(readonly [number, number])[]> => {
    const content = await volume.store.bytes.acquire(volume.ino(path));
    volume.store.bytes.release(content);
    if (content.kind === 'plain') return [];
    return content
      .slice(0, content.size)
      .filter(({ source }) => source === OVERLAY)
      .map(({ offset, length }) => [offset, offset + length] as const);
  };
  const is = async (path: string, expected: Buffer): Promise<void> => {
    assert.equal(volume.files.getattr(volume.ino(path)).size, expected.length);
    assert.ok((await volume.read(path)).equals(expected), `${path} has other bytes`);
    // The same after everything is recorded and read again.
    await volume.restart();
    assert.ok((await volume.read(path)).equals(expected), `${path} has other bytes after a restart`);
  };
  const verified = (): number[] => {
    const map = volume.store.pieceMap(infoHash) ?? Buffer.alloc(1);
    return [0, 1, 2, 3, 4, 5].filter((piece) => hasBit(map, piece));
  };
  const stored = (path: string): number => volume.stored(volume.ino(path));

  describe('the same bytes', () => {
    for (const [path, position, length] of [
      ['T/whole', 0, 40_000],
      ['T/whole', 1, 5],
      ['T/whole', 4095, 8194],
      ['T/whole', 39_999, 1],
      ['T/mixed', 0, 12_000],
      ['T/mixed', 5999, 2],
      ['T/last', 4999, 1],
    ] as const) {
      it(`cost nothing: ${length} from ${position} on in ${path}`, async () => {
        const before = volume.files.getattr(volume.ino(path));
        await volume.write(path, BASE[path]!.subarray(position, position + length), position);
        assert.equal(volume.overlay(volume.ino(path)), undefined);
        assert.equal(volume.store.inode(volume.ino(path))?.content, 'mapped');
        assert.deepEqual(volume.files.getattr(volume.ino(path)), before);
        assert.deepEqual(verified(), [0, 1, 5]);
        assert.deepEqual(volume.changed, []);
      });
    }

    it('cost nothing beside a block that is written', async () => {
      await volume.write('T/whole', 'differs', BLOCK + 10);
      await volume.write('T/whole', BASE['T/whole']!.subarray(0, BLOCK + 10), 0);
      await volume.write('T/whole', BASE['T/whole']!.subarray(2 * BLOCK), 2 * BLOCK);
      assert.deepEqual(await written('T/whole'), [[BLOCK, 2 * BLOCK]]);
      assert.equal(stored('T/whole'), BLOCK);
    });

    it('are recorded in a gap, where zeros may be the right ones', async () => {
      await volume.write('T/gap', Buffer.alloc(10), 5000);
      assert.deepEqual(await written('T/gap'), [[BLOCK, 2 * BLOCK]]);
      await volume.write('T/mixed', Buffer.alloc(1), 12_000);
      assert.deepEqual(await written('T/mixed'), [[2 * BLOCK, 3 * BLOCK]]);
      await is('T/gap', BASE['T/gap']!);
      await is('T/mixed', BASE['T/mixed']!);
    });

    it('are recorded where a write touches zeros and a gap, for the gap alone', async () => {
      await volume.write('T/mixed', Buffer.alloc(11_000), 6000);
      // From the block in which the gap begins to the one in which it ends.
      assert.deepEqual(await written('T/mixed'), [
        [2 * BLOCK, 5 * BLOCK].map((n) => Math.min(n, 20_000)) as [number, number],
      ]);
      await is('T/mixed', BASE['T/mixed']!);
    });
  });

  describe('other bytes', () => {
    for (const [path, position, length, blocks] of [
      ['T/whole', 0, 1, [0, 1]],
      ['T/whole', 4095, 1, [0, 1]],
      ['T/whole', 4095, 2, [0, 2]],
      ['T/whole', 4096, 4096, [1, 2]],
      ['T/whole', 5000, 9000, [1, 4]],
      ['T/whole', 39_990, 10, [9, 10]],
      ['T/mixed', 5990, 6100, [1, 3]],
      ['T/mixed', 16_990, 20, [4, 5]],
      ['T/gap', 3, 3, [0, 1]],
    ] as const) {
      it(`take whole blocks, filled up from the base: ${length} from ${position} on in ${path}`, async () => {
        const bytes = Buffer.alloc(length, 0xfe);
        await volume.write(path, bytes, position);
        const size = BASE[path]!.length;
        assert.deepEqual(await written(path), [[blocks[0] * BLOCK, Math.min(blocks[1] * BLOCK, size)]]);
        await is(path, patched(BASE[path]!, bytes, position));
      });
    }

    it('leave the blocks between two that differ as they are', async () => {
      const bytes = Buffer.from(BASE['T/whole']!);
      bytes[0] = 0xff;
      bytes[39_999] = 0xff;
      await volume.write('T/whole', bytes, 0);
      assert.deepEqual(await written('T/whole'), [
        [0, BLOCK],
        [9 * BLOCK, 40_000],
      ]);
      assert.equal(stored('T/whole'), 2 * BLOCK);
      await is('T/whole', bytes);
    });

    it('go into the blocks that are there, once there are some', async () => {
      let expected = BASE['T/whole']!;
      for (const [text, position] of [
        ['one', 100],
        ['another', 102],
        ['across', 4093],
        ['one', 4093],
        ['', 0],
      ] as const) {
        await volume.write('T/whole', text, position);
        expected = patched(expected, text, position);
      }
      assert.equal(stored('T/whole'), 2 * BLOCK);
      await is('T/whole', expected);
    });

    it('can be written back, and stay in the overlay', async () => {
      await volume.write('T/whole', 'other', 0);
      await volume.write('T/whole', BASE['T/whole']!.subarray(0, 5), 0);
      await is('T/whole', BASE['T/whole']!);
    });

    it('change the times of the file, and no others', async () => {
      const [before, folderBefore] = [
        volume.files.getattr(volume.ino('T/whole')),
        volume.files.getattr(volume.ino('T')),
      ];
      await volume.write('T/whole', 'other', 0);
      const after = volume.files.getattr(volume.ino('T/whole'));
      assert.ok(after.mtime.seconds > before.mtime.seconds);
      assert.deepEqual(after.ctime, after.mtime);
      assert.deepEqual(after.atime, before.atime);
      assert.deepEqual(volume.files.getattr(volume.ino('T')), folderBefore);
      await volume.restart();
      assert.deepEqual(volume.files.getattr(volume.ino('T/whole')), after);
    });
  });

  describe('beyond the end', () => {
    for (const [position, length] of [
      [5000, 10],
      [5000, 8000],
      [5001, 10],
      [8191, 2],
      [8192, 4096],
      [30_000, 1],
      [4990, 20],
      [2 ** 31 - 3, 6],
      [2 ** 32 - 3, 6],
      [2 ** 40, 3],
    ] as const) {
      it(`makes the file longer, with zeros between: ${length} from ${position} on`, async () => {
        const bytes = Buffer.alloc(length, 0xfe);
        await volume.write('T/last', bytes, position);
        assert.equal(volume.files.getattr(volume.ino('T/last')).size, position + length);
        if (position < 2 ** 20) return await is('T/last', patched(BASE['T/last']!, bytes, position));
        await volume.restart();
        const handle = await volume.open('T/last');
        const tail = Buffer.alloc(length + 10);
        assert.equal(await volume.files.read(handle, tail, position - 5), length + 5);
        assert.ok(tail.equals(patched(patched(Buffer.alloc(5), bytes, 5), Buffer.alloc(5), length + 5)));
        assert.ok((await volume.readHandle(handle, 5003)).equals(patched(BASE['T/last']!, Buffer.alloc(3), 5000)));
        await volume.files.release(handle);
        assert.ok(stored('T/last') <= 4 * BLOCK, 'it is sparse');
        return undefined;
      });
    }

    it('is EFBIG where no file goes', async () => {
      await assert.rejects(volume.write('T/last', 'x', 2 ** 47), { code: 'EFBIG' });
      await assert.rejects(volume.truncate('T/last', 2 ** 48), { code: 'EFBIG' });
      await is('T/last', BASE['T/last']!);
    });

    it('shows nothing of what was cut off before', async () => {
      await volume.write('T/last', Buffer.alloc(20_000, 'x'), 0);
      await volume.truncate('T/last', 4100);
      await volume.write('T/last', 'y', 4200);
      await volume.truncate('T/last', 4150);
      await volume.write('T/last', 'z', 12_000);
      const expected = patched(Buffer.alloc(4100, 'x'), Buffer.alloc(50), 4100);
      await is('T/last', patched(expected, 'z', 12_000));
    });
  });

  describe('a truncate', () => {
    it('to the size that is there does nothing', async () => {
      const before = volume.files.getattr(volume.ino('T/whole'));
      await volume.truncate('T/whole', 40_000);
      assert.deepEqual(volume.files.getattr(volume.ino('T/whole')), before);
      assert.equal(volume.overlay(volume.ino('T/whole')), undefined);
      assert.deepEqual(verified(), [0, 1, 5]);
    });

    for (const sizes of [
      [0],
      [1],
      [4096],
      [4097, 40_000],
      [0, 40_000],
      [39_999, 40_000],
      [50_000],
      [50_000, 40_000],
      [50_000, 45_000, 60_000],
      [5000, 8000, 4100, 9000],
      [2 ** 31 + 1, 40_000],
      [2 ** 32 + 1, 10],
    ]) {
      it(`to ${sizes.join(', then ')}`, async () => {
        let expected = BASE['T/whole']!;
        for (const size of sizes) {
          await volume.truncate('T/whole', size);
          assert.equal(volume.files.getattr(volume.ino('T/whole')).size, size);
          const kept = expected.subarray(0, Math.min(size, expected.length));
          expected = size < 2 ** 20 ? Buffer.concat([kept, Buffer.alloc(size - kept.length)]) : kept;
        }
        if (sizes.at(-1)! < 2 ** 20) {
          // `expected` lacks the zeros of large sizes; they were cut off again.
          await is('T/whole', Buffer.concat([expected, Buffer.alloc(sizes.at(-1)! - expected.length)]));
        }
        assert.equal(stored('T/whole'), 0);
      });
    }

    it('after writes cuts and fills up, in whatever order', async () => {
      await volume.write('T/whole', Buffer.alloc(10_000, 'x'), 3000);
      await volume.truncate('T/whole', 6000);
      await volume.truncate('T/whole', 7000);
      await volume.write('T/whole', 'y', 6500);
      await volume.truncate('T/whole', 9000);
      const kept = patched(BASE['T/whole']!.subarray(0, 6000), Buffer.alloc(3000, 'x'), 3000);
      await is('T/whole', patched(patched(kept, Buffer.alloc(3000), 6000), 'y', 6500));
    });

    it('frees what lies after the end at the next checkpoint', async () => {
      await volume.write('T/gap', Buffer.alloc(20_000, 'x'), 0);
      await volume.truncate('T/gap', 10);
      await volume.store.checkpoint();
      assert.equal(stored('T/gap'), BLOCK);
    });

    it('with O_TRUNC asks no source that is broken', async () => {
      fs.renameSync(volume.source, `${volume.source}-away`);
      const handle = await volume.open('T/whole', fs.constants.O_RDWR | fs.constants.O_TRUNC);
      await volume.files.write(handle, Buffer.from('new'), 0);
      await volume.files.release(handle);
      fs.renameSync(`${volume.source}-away`, volume.source);
      await is('T/whole', Buffer.from('new'));
    });
  });

  describe('handles', () => {
    it('see at once what others write and cut', async () => {
      const [one, other] = [await volume.open('T/whole'), await volume.open('T/whole')];
      const { files } = volume;
      await files.write(one, Buffer.from('one'), 0);
      assert.equal((await volume.readHandle(other, 3)).toString(), 'one');
      await files.write(other, Buffer.from('other'), 45_000);
      assert.equal((await volume.readHandle(one, 60_000)).length, 45_005);
      await volume.truncate('T/whole', 2);
      assert.equal((await volume.readHandle(other, 60_000)).toString(), 'on');
      await files.release(one);
      await files.write(other, Buffer.from('!'), 2);
      await files.release(other);
      await is('T/whole', Buffer.from('on!'));
    });

    it('that write at the same time do so one after the other', async () => {
      const handles = await Promise.all(Array.from({ length: 8 }, async () => await volume.open('T/whole')));
      await Promise.all(
        handles.map(async (handle, i) => await volume.files.write(handle, Buffer.alloc(3000, i + 1), i * 3000 + 100)),
      );
      for (const handle of handles) await volume.files.release(handle);
      let expected = BASE['T/whole']!;
      for (let i = 0; i < 8; i++) expected = patched(expected, Buffer.alloc(3000, i + 1), i * 3000 + 100);
      await is('T/whole', expected);
    });

    it('of a deleted file go on, and leave nothing', async () => {
      const ino = volume.ino('T/whole');
      const handle = await volume.open('T/whole');
      await volume.unlink('T/whole');
      await volume.files.write(handle, Buffer.from('still'), 0);
      await volume.files.fsync(handle);
      assert.equal(volume.files.getattr(ino).nlink, 0);
      assert.ok((await volume.readHandle(handle, 40_000)).equals(patched(BASE['T/whole']!, 'still', 0)));
      await volume.files.setattr(ino, { size: 7, mode: 0o600 });
      assert.equal(volume.files.getattr(ino).size, 7);
      await volume.files.release(handle);
      await volume.restart();
      assert.equal(volume.overlay(ino), undefined);
      assert.throws(() => volume.ino('T/whole'), { code: 'ENOENT' });
    });

    it('of an entry that was removed go on, and leave nothing', async () => {
      const handles = [await volume.open('T/whole'), await volume.open('T/gap')];
      await volume.create('T/new', 'new');
      handles.push(await volume.open('T/new'));
      await volume.files.write(handles[0]!, Buffer.from('before'), 0);
      await volume.store.removeEntry(infoHash);
      await volume.files.write(handles[0]!, Buffer.from('behind'), 0);
      assert.equal((await volume.readHandle(handles[0]!, 6)).toString(), 'behind');
      assert.equal((await volume.readHandle(handles[2]!, 3)).toString(), 'new');
      await assert.rejects(async () => await volume.files.write(handles[1]!, Buffer.from('x'), 0), { code: 'ENOENT' });
      for (const handle of handles) await volume.files.release(handle);
      await volume.restart();
      const left = fs.readdirSync(volume.store.bytes.folder, { recursive: true, encoding: 'utf8' });
      assert.deepEqual(
        left.filter((name) => name.includes('/')),
        [],
      );
    });
  });

  describe('pieces', () => {
    it('are not taken for verified by what began at another server, or for an entry before', async () => {
      const [good, bad] = [Buffer.from([0b1111_1100]), Buffer.alloc(1)];
      const ended = async (since: number): Promise<unknown> =>
        await volume.store.verificationEnded(infoHash, { since, good, bad }).catch((error: unknown) => errnoOf(error));
      await volume.write('T/last', 'x', 0);
      const before = await volume.store.verificationBegun(infoHash);
      await volume.restart();
      await volume.write('T/whole', 'wrong', 0);
      assert.equal(await ended(before), 'CONFLICT');
      const map = volume.store.pieceMap(infoHash);
      assert.ok(map !== undefined && !hasBit(map, 0));
      const here = await volume.store.verificationBegun(infoHash);
      await volume.store.removeEntry(infoHash);
      await volume.store.createEntry({ ...planFor(volume.source), verified: Buffer.alloc(1) });
      assert.equal(await ended(here), 'CONFLICT');
      assert.deepEqual(volume.store.pieceMap(infoHash), Buffer.alloc(1));
    });

    it('of an entry that was made anew are not those that handles of the removed one knew', async () => {
      const handle = await volume.open('T/whole');
      await volume.files.write(handle, Buffer.from('before'), 0);
      await volume.store.removeEntry(infoHash);
      await volume.store.createEntry({ ...planFor(volume.source), verified: Buffer.alloc(1) });
      await assert.doesNotReject(async () => await volume.files.write(handle, Buffer.from('behind'), 20_000));
      await volume.files.release(handle);
      assert.deepEqual(volume.store.pieceMap(infoHash), Buffer.alloc(1));
      assert.equal(volume.store.entry(infoHash)?.verifiedPieces, 0);
    });

    it('are taken back before a byte of them changes, and no others', async () => {
      await volume.write('T/whole', 'x', 16_384);
      assert.deepEqual(verified(), [0, 5]);
      await volume.write('T/whole', 'x', 16_383);
      assert.deepEqual(verified(), [5]);
      assert.equal(volume.store.entry('E')?.verifiedPieces, 1);
      assert.ok(volume.changed.length >= 2);
    });

    it('are taken back by a truncate, and of others none by what lies after the end of the file', async () => {
      await volume.truncate('T/whole', 20_000);
      assert.deepEqual(verified(), [0, 5]);
      await volume.truncate('T/whole', 100_000);
      await volume.write('T/whole', 'x', 90_000);
      assert.deepEqual(verified(), [0, 5]);
    });

    it('stay where writing fails before anything has changed', async () => {
      fs.renameSync(volume.source, `${volume.source}-away`);
      await assert.rejects(volume.write('T/whole', 'x', 0), { code: 'EIO' });
      fs.renameSync(`${volume.source}-away`, volume.source);
      assert.deepEqual(verified(), [0, 1, 5]);
    });

    it('are taken back when their file is deleted, or another one takes its name', async () => {
      await volume.create('T/new', 'x');
      await volume.rename('T/new', 'T/last');
      assert.deepEqual(verified(), [0, 1]);
      await volume.unlink('T/whole');
      assert.deepEqual(verified(), []);
    });

    it('that changed while they were being verified stay as they are', async () => {
      const since = await volume.store.verificationBegun(infoHash);
      await volume.write('T/gap', 'x', 12_000);
      const good = Buffer.from([0b1111_1100]);
      const after = await volume.store.verificationEnded(infoHash, { since, good, bad: Buffer.alloc(1) });
      assert.deepEqual(verified(), [0, 1, 2, 4, 5], 'the byte is in piece 3');
      assert.equal(after.verifiedPieces, 5);
    });

    it('of a file that has the place of a deleted one are taken back, too', async () => {
      await volume.unlink('T/whole');
      await volume.create('T/whole', BASE['T/whole']);
      const since = await volume.store.verificationBegun(infoHash);
      await volume.store.verificationEnded(infoHash, { since, good: Buffer.from([0b1100_0000]), bad: Buffer.alloc(1) });
      assert.deepEqual(verified(), [0, 1, 5]);
      await volume.write('T/whole', BASE['T/whole']!.subarray(0, 9), 0);
      assert.deepEqual(verified(), [0, 1, 5], 'the same bytes');
      await volume.write('T/whole', 'x', 20_000);
      assert.deepEqual(verified(), [0, 5]);
      const replaced: string[] = [];
      for await (const { replacedBy } of volume.store.differences(infoHash)) {
        if (replacedBy !== undefined) replaced.push(replacedBy.at.path.join('/'));
      }
      assert.deepEqual(replaced, ['T/whole'], 'it is another file still');
      await volume.truncate('T/whole', 10);
      assert.deepEqual(verified(), [5]);
      await volume.unlink('T/whole');
      assert.deepEqual(verified(), [5]);
    });
  });

  describe('a source that is broken', () => {
    const [broken, mended] = [
      () => fs.renameSync(volume.source, `${volume.source}-away`),
      () => fs.renameSync(`${volume.source}-away`, volume.source),
    ];
    /** Opens a file before its source breaks, and makes the last check of the source too old to count. */
    const stale = async (path: string): Promise<number> => {
      const handle = await volume.open(path);
      fs.appendFileSync(volume.source, 'longer');
      await new Promise((resolve) => setTimeout(resolve, 1100));
      return handle;
    };
    const heal = (): void => {
      fs.truncateSync(volume.source, SOURCE.length);
    };

    it('lets whole blocks be written, and refuses parts of them', async () => {
      const handle = await stale('T/whole');
      const { files } = volume;
      await assert.rejects(async () => await files.write(handle, Buffer.from('x'), 5000), { code: 'EIO' });
      await assert.rejects(async () => await files.write(handle, Buffer.alloc(5000, 'x'), 0), { code: 'EIO' });
      await files.write(handle, Buffer.alloc(2 * BLOCK, 'x'), BLOCK);
      await files.write(handle, Buffer.alloc(40_000 - 9 * BLOCK, 'y'), 9 * BLOCK);
      await files.write(handle, Buffer.from('part of what is written'), BLOCK + 9);
      assert.equal(await files.read(handle, Buffer.alloc(2 * BLOCK), BLOCK), 2 * BLOCK);
      await assert.rejects(async () => await files.read(handle, Buffer.alloc(BLOCK), 0), { code: 'EIO' });
      await files.release(handle);
      heal();
      fs.utimesSync(volume.source, 1e9, 1e9);
      await new Promise((resolve) => setTimeout(resolve, 1100));
      const expected = patched(BASE['T/whole']!, Buffer.alloc(2 * BLOCK, 'x'), BLOCK);
      const all = patched(
        patched(expected, Buffer.alloc(40_000 - 9 * BLOCK, 'y'), 9 * BLOCK),
        'part of what is written',
        BLOCK + 9,
      );
      assert.ok((await volume.read('T/whole')).equals(all));
    });

    it('does not keep a file from being cut, deleted, or replaced', async () => {
      broken();
      await volume.truncate('T/whole', 0);
      await volume.write('T/whole', 'new', 0);
      await volume.unlink('T/last');
      await volume.rename('T/mixed', 'T/moved');
      mended();
      await is('T/whole', Buffer.from('new'));
      await is('T/moved', BASE['T/mixed']!);
    });
  });

  it('refuses sizes that no file can have with EFBIG', async () => {
    const handle = await volume.open('T/gap');
    for (const size of [2 ** 62, 2 ** 53, 2 ** 47 + 1]) {
      await assert.rejects(volume.truncate('T/gap', size), { code: 'EFBIG' }, `${size}`);
      assert.throws(() => volume.files.write(handle, Buffer.from('x'), size), { code: 'EFBIG' });
      await assert.rejects(volume.files.fallocate(handle, 0, size, 1), { code: 'EFBIG' });
    }
    await assert.rejects(volume.truncate('T/gap', -1), { code: 'EINVAL' });
    await volume.files.release(handle);
  });

  it('leaves the access time of a plain file to whoever sets it', async () => {
    const ino = await volume.create('T/new', 'plain');
    await volume.files.setattr(ino, { atime: { seconds: 1000, nanoseconds: 0 } });
    assert.equal((await volume.read('T/new')).toString(), 'plain');
    assert.equal(volume.files.getattr(ino).atime.seconds, 1000);
    await volume.restart();
    assert.equal((await volume.read('T/new')).toString(), 'plain');
    assert.equal(volume.files.getattr(ino).atime.seconds, 1000);
  });

  it('keeps times before 1970', async () => {
    const ino = await volume.create('T/new', 'plain');
    for (const each of [ino, volume.ino('T/whole'), volume.ino('T')]) {
      const time = { seconds: -10, nanoseconds: 0 };
      const { mtime, atime } = await volume.files.setattr(each, { atime: time, mtime: time });
      assert.deepEqual([mtime, atime], [time, time]);
    }
  });

  it('keeps times before 1970 where the C library cannot be asked to set them', async () => {
    const files = fileSystemOver(volume.store, volume.folder, { libc: {} });
    const ino = await volume.create('T/new', 'plain');
    const times = { atime: { seconds: -11, nanoseconds: 500_000_000 }, mtime: { seconds: 11, nanoseconds: 0 } };
    const { atime, mtime } = await files.setattr(ino, times);
    assert.deepEqual({ atime, mtime }, times);
    files.close();
  });

  describe('O_SYNC', () => {
    it('records each write before it ends', async () => {
      const handle = await volume.open('T/gap', fs.constants.O_RDWR | fs.constants.O_SYNC);
      await volume.files.write(handle, Buffer.from('x'), 0);
      assert.ok(volume.store.bytes.isRecorded(volume.ino('T/gap')));
      await volume.files.release(handle);
    });
  });
});

const isRoot = process.getuid?.() === 0;

describe('a full disk', { skip: !isRoot && 'a file system of its own takes root' }, () => {
  let folder: string;
  let disk: string;
  let volume: Volume;
  beforeEach(async () => {
    folder = temporaryFolder('vfs');
    disk = join(folder, 'disk');
    fs.mkdirSync(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', disk]);
    volume = await Volume.open(disk);
    await volume.store.recovered;
  });
  afterEach(async () => {
    try {
      await volume.close();
    } finally {
      execFileSync('umount', ['-l', disk]);
    }
  });

  /** Writes until there is no room; returns the bytes that were written. */
  const fill = async (path: string): Promise<number> => {
    const handle = await volume.open(path);
    const chunk = Buffer.alloc(65_536, 0xfd);
    try {
      for (let at = 0; ; at += chunk.length) {
        try {
          await volume.files.write(handle, chunk, at);
        } catch (error) {
          assert.equal(errnoOf(error), 'ENOSPC');
          return at;
        }
      }
    } finally {
      await volume.files.release(handle);
    }
  };

  it('is told to writers, leaves what was there, and takes writes again when there is room', async () => {
    await volume.create('T/large');
    const taken = await fill('T/large');
    assert.ok(taken > 4e6, `${taken}`);
    await assert.rejects(volume.write('T/gap', Buffer.alloc(131_072, 'x'), 0), { code: 'ENOSPC' });
    assert.ok((await volume.read('T/whole')).equals(BASE['T/whole']!));
    assert.equal((await volume.read('T/large')).length, taken);
    // Operations without a need for room go on: names, times, and whatever frees room.
    await volume.rename('T/last', 'T/renamed');
    await volume.files.setattr(volume.ino('T/renamed'), { mode: 0o600 });
    await volume.store.checkpoint();
    await volume.unlink('T/large');
    for (let i = 0; i < 50; i++) {
      try {
        await volume.write('T/gap', Buffer.alloc(20_000, 'y'), 0);
        break;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    await volume.restart();
    assert.ok((await volume.read('T/gap')).equals(Buffer.alloc(20_000, 'y')));
    assert.ok((await volume.read('T/renamed')).equals(BASE['T/last']!));
    assert.deepEqual(volume.store.overlayProblems, []);
  });

  it('lets what is stored already be written over', async () => {
    await volume.write('T/gap', Buffer.alloc(20_000, 'x'), 0);
    await volume.create('T/large');
    await fill('T/large');
    await volume.write('T/gap', Buffer.alloc(20_000, 'y'), 0);
    assert.ok((await volume.read('T/gap')).equals(Buffer.alloc(20_000, 'y')));
  });

  for (const seen of [true, false]) {
    it(`that others have filled to the last byte loses nothing of what is there${seen ? '' : ', though that was not seen'}`, async (t) => {
      await volume.create('T/kept', 'kept');
      await volume.write('T/gap', 'kept', 0);
      await volume.store.checkpoint();
      const hog = join(disk, 'hog');
      const fd = fs.openSync(hog, 'w');
      try {
        for (;;) fs.writeSync(fd, Buffer.alloc(65_536, 1));
      } catch {
        // The disk is full.
      }
      try {
        for (;;) fs.writeSync(fd, Buffer.alloc(4096, 1));
      } catch {
        // Full to the last page.
      }
      fs.closeSync(fd);
      const refused: string[] = [];
      // The writes are faster than the first look at the free space.
      const statfs = fs.statfsSync;
      const told = (path: string) =>
        seen || refused.length > 0 ? statfs(path) : Object.assign(statfs(path), { bavail: 2 ** 30 });
      t.mock.method(fs, 'statfsSync', told);
      const attempt = async (what: string, work: () => Promise<unknown>): Promise<void> => {
        try {
          await work();
        } catch (error) {
          refused.push(`${what} ${posixErrorOf(error)?.code ?? messageOf(error)}`);
        }
      };
      for (let i = 0; i < 100; i++) {
        await attempt('create', async () => await volume.create(`T/new ${i}`, 'new'));
        await attempt('write', async () => await volume.write('T/whole', 'new', 4096 * (i % 9)));
        await attempt('mkdir', async () => await volume.files.mkdir(...volume.place(`T/folder ${i}`), 0o755));
        await attempt('chmod', async () => await volume.files.setattr(volume.ino('T/last'), { mode: 0o600 + (i % 8) }));
      }
      assert.deepEqual(
        [...new Set(refused)].filter((line) => !line.endsWith('ENOSPC')),
        [],
      );
      assert.ok(refused.length > 50, `${refused.length}`);
      assert.equal((await volume.read('T/whole')).length, 40_000);
      assert.equal((await volume.read('T/kept')).toString(), 'kept');
      fs.unlinkSync(hog);
      const names = new Set<string>();
      for (const { name } of await volume.list(volume.ino('T'))) names.add(name);
      await volume.create('T/after', 'after');
      await volume.write('T/last', 'after', 0);
      await volume.restart();
      assert.equal((await volume.read('T/kept')).toString(), 'kept');
      assert.equal((await volume.read('T/after')).toString(), 'after');
      assert.ok((await volume.read('T/gap')).equals(patched(BASE['T/gap']!, 'kept', 0)));
      assert.ok((await volume.read('T/last')).equals(patched(BASE['T/last']!, 'after', 0)));
      const again = new Set<string>();
      for (const { name } of await volume.list(volume.ino('T'))) again.add(name);
      assert.deepEqual(again, new Set([...names, 'after']), 'what was shown is there still');
      assert.deepEqual(volume.store.overlayProblems, []);
    });
  }
});
