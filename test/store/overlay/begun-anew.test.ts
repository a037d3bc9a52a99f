import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import type { Store } from '../../../src/store/store.ts';
import type { FileSystem } from '../../../src/vfs/file-system.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { fileSystemOver } from '../../harness/volume.ts';
import { hashOf, inoOf, withStore } from '../fixture.ts';
import { DATA, plannedEntry, write } from './diverged.ts';

const E = hashOf('E');

async function read(fs: FileSystem, ino: number): Promise<Buffer> {
  const handle = await fs.open(ino, constants.O_RDONLY);
  const buffer = Buffer.alloc(fs.getattr(ino).size);
  await fs.read(handle, buffer, 0);
  await fs.release(handle);
  return buffer;
}

/** Writes a whole file, has it verified, and puts it into the pool. */
async function pool(store: Store, fs: FileSystem, name: string, bytes: Buffer): Promise<void> {
  for await (const file of store.files(E)) {
    if (file.path.at(-1) !== name) continue;
    await write(fs, file.ino, 0, bytes);
    const since = await store.verificationBegun(E);
    const good = Buffer.alloc((store.pieceMap(E) ?? assert.fail()).length, 0xff);
    await store.verificationEnded(E, { since, good, bad: Buffer.alloc(0) });
    const pooling = await fs.pool(E, file, [name]);
    assert.ok(pooling !== undefined && 'pooled' in pooling);
  }
}

describe('a file that is written to again after its overlay file went', () => {
  let folder: string;
  before(async () => {
    folder = temporaryFolder('overlay');
  });

  const cases: readonly [string, (store: Store, fs: FileSystem) => Promise<Buffer>][] = [
    [
      'to the pool',
      async (store, fs) => {
        const bytes = Buffer.alloc(DATA.length, 'p');
        await pool(store, fs, 'written', bytes);
        return bytes;
      },
    ],
    [
      'with a discard',
      async (store, fs) => {
        await store.discard(E, undefined, fs.quiet);
        return Buffer.from(DATA);
      },
    ],
  ];
  for (const [how, end] of cases) {
    it(`${how}: what the journal lists of before means nothing after kill -9`, async () => {
      const state = join(folder, how);
      const copy = join(folder, `${how}, killed`);
      const expected = await withStore(state, async (store) => {
        await plannedEntry(store, folder);
        const fs = fileSystemOver(store, state);
        const ino = inoOf(store, 'E/T/written');
        await write(fs, ino, 0, Buffer.alloc(2 * 4096, 'before'));
        const bytes = await end(store, fs);
        await write(fs, ino, 2 * 4096, Buffer.alloc(4096, 'after'));
        bytes.fill('after', 2 * 4096, 3 * 4096);
        assert.deepEqual(await read(fs, ino), bytes);
        // The state that a killed server leaves: nothing is checkpointed, and the journal lists everything.
        await cp(state, copy, { recursive: true });
        return bytes;
      });
      await withStore(copy, async (store) => {
        await store.recovered;
        assert.deepEqual(await read(fileSystemOver(store, copy), inoOf(store, 'E/T/written')), expected);
      });
    });
  }
});
