/** A disk that makes writers wait: then threads write, and other files, checkpoints and readers continue. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, describe, it, mock } from 'node:test';
import { OverlayDisk } from '../../src/store/overlay/overlay-disk.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { BASE, patched, Volume } from './volume.ts';

/** Writes only when `go` is called, in the order of the requests. */
class SlowDisk {
  readonly waiting: (() => void)[] = [];
  /** The data reaches the overlay file before the writer hears of it, as with a thread of Node. */
  early = false;

  async write(fd: number, buffer: Buffer, position: number): Promise<void> {
    if (this.early) fs.writeSync(fd, buffer, 0, buffer.length, position);
    await new Promise<void>((resolve) => {
      this.waiting.push(() => {
        if (!this.early) fs.writeSync(fd, buffer, 0, buffer.length, position);
        resolve();
      });
    });
  }

  async asked(times: number): Promise<void> {
    while (this.waiting.length < times) await new Promise(setImmediate);
  }

  go(): void {
    for (const write of this.waiting.splice(0)) write();
  }
}

describe('a disk that is slow', () => {
  let volume: Volume;
  const disk = new SlowDisk();

  before(async () => {
    volume = await Volume.open(temporaryFolder('vfs'));
    mock.method(
      OverlayDisk.prototype,
      'write',
      async (fd: number, buffer: Buffer, position: number) => await disk.write(fd, buffer, position),
    );
  });
  after(async () => {
    mock.restoreAll();
    await volume.close();
  });

  const write = async (handle: number, bytes: Buffer, position: number): Promise<unknown> =>
    await volume.files.write(handle, bytes, position);

  it('gets the bytes of each file, though two are filled up at the same time', async () => {
    const handles = [await volume.open('T/whole'), await volume.open('T/mixed')];
    const [one = 0, other = 0] = handles;
    // Both have an overlay file now, so that only the disk has to be waited for.
    const begun = [write(one, Buffer.from('#'), 39_000), write(other, Buffer.from('#'), 19_000)];
    await disk.asked(2);
    disk.go();
    await Promise.all(begun);
    const both = [write(one, Buffer.from('one'), 33_000), write(other, Buffer.from('other'), 100)];
    await disk.asked(2);
    disk.go();
    await Promise.all(both);
    const expected = [
      patched(patched(BASE['T/whole']!, '#', 39_000), 'one', 33_000),
      patched(patched(BASE['T/mixed']!, '#', 19_000), 'other', 100),
    ];
    for (const [i, handle] of handles.entries()) {
      assert.ok((await volume.readHandle(handle, expected[i]!.length)).equals(expected[i]!), `file ${i}`);
      await volume.files.release(handle);
    }
  });

  it('keeps what is being written after the end while a checkpoint cuts what is not needed', async () => {
    const handle = await volume.open('T/last');
    const begun = write(handle, Buffer.from('#'), 0);
    await disk.asked(1);
    disk.go();
    await begun;
    disk.early = true;
    const writing = write(handle, Buffer.alloc(4096, 'x'), 8192);
    await disk.asked(1);
    await volume.store.checkpoint();
    disk.go();
    await writing;
    disk.early = false;
    assert.ok(
      (await volume.read('T/last')).equals(patched(patched(BASE['T/last']!, '#', 0), Buffer.alloc(4096, 'x'), 8192)),
    );
    await volume.files.release(handle);
  });
});
