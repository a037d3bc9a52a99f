/** A disk that makes writers wait: threads write then, and other files, checkpoints and readers go on meanwhile. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { silentLogger } from '../../src/logger.ts';
import { openCLibrary } from '../../src/native/c-library.ts';
import { DescriptorBudget } from '../../src/native/descriptor-budget.ts';
import { loadFileCalls } from '../../src/native/files.ts';
import { OwnMounts } from '../../src/source/own-mounts.ts';
import { SourceFiles } from '../../src/source/served-sources.ts';
import { OpenFile } from '../../src/vfs/open-file.ts';
import { OverlayDisk } from '../../src/vfs/overlay-disk.ts';
import { Reading } from '../../src/vfs/reading.ts';
import { Writing } from '../../src/vfs/writing.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { BASE, patched, Volume } from './volume.ts';

/** Writes when it is told to, in the order in which it was asked. */
class SlowDisk extends OverlayDisk {
  readonly waiting: (() => void)[] = [];
  /** The data reaches the overlay file before the writer is told, as with a thread of Node. */
  early = false;

  override write(fd: number, buffer: Buffer, position: number): Promise<void> {
    if (this.early) fs.writeSync(fd, buffer, 0, buffer.length, position);
    return new Promise((resolve) => {
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
  let folder: string;
  let volume: Volume;
  let disk: SlowDisk;
  let writing: Writing;

  before(async () => {
    folder = temporaryFolder('vfs');
    volume = await Volume.open(join(folder));
    disk = new SlowDisk(volume.store.overlay.files.folder);
    const sources = new SourceFiles({
      record: (id) => volume.store.source(id),
      ownMounts: new OwnMounts(),
      descriptors: DescriptorBudget.ofProcess(),
      logger: silentLogger,
    });
    const reading = new Reading(loadFileCalls(openCLibrary(silentLogger)), sources, volume.store.overlay);
    writing = new Writing(volume.store, reading, disk, () => {});
  });
  after(async () => {
    await volume.close();
  });

  const opened = async (path: string): Promise<OpenFile> => {
    const ino = volume.ino(path);
    return new OpenFile(ino, await volume.store.overlay.acquire(ino), undefined);
  };
  const closed = (file: OpenFile): void => {
    if (file.content !== undefined) volume.store.overlay.release(file.content);
  };

  it('gets the bytes of each file, though two are filled up at the same time', async () => {
    const [one, other] = [await opened('T/whole'), await opened('T/mixed')];
    // So that both have an overlay file, and nothing has to be waited for but the disk.
    const begun = [writing.write(one, Buffer.from('#'), 39_000), writing.write(other, Buffer.from('#'), 19_000)];
    await disk.asked(2);
    disk.go();
    await Promise.all(begun.map(async (write) => await write));
    const handles = [await volume.open('T/whole'), await volume.open('T/mixed')];
    const both = [writing.write(one, Buffer.from('one'), 33_000), writing.write(other, Buffer.from('other'), 100)];
    await disk.asked(2);
    disk.go();
    await Promise.all(both.map(async (write) => await write));
    const expected = [
      patched(patched(BASE['T/whole']!, '#', 39_000), 'one', 33_000),
      patched(patched(BASE['T/mixed']!, '#', 19_000), 'other', 100),
    ];
    for (const [i, handle] of handles.entries()) {
      assert.ok((await volume.readHandle(handle, expected[i]!.length)).equals(expected[i]!), `file ${i}`);
      await volume.files.release(handle);
    }
    closed(one);
    closed(other);
  });

  it('keeps what is being written behind the end while a checkpoint cuts what is not needed', async () => {
    const file = await opened('T/last');
    const begun = writing.write(file, Buffer.from('#'), 0);
    await disk.asked(1);
    disk.go();
    await begun;
    disk.early = true;
    const write = writing.write(file, Buffer.alloc(4096, 'x'), 8192);
    await disk.asked(1);
    await volume.store.overlay.checkpointAll();
    disk.go();
    await write;
    disk.early = false;
    assert.ok(
      (await volume.read('T/last')).equals(patched(patched(BASE['T/last']!, '#', 0), Buffer.alloc(4096, 'x'), 8192)),
    );
    closed(file);
  });
});
