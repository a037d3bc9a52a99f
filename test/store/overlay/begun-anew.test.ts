import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import { cp, stat, writeFile } from 'node:fs/promises';
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

/** What of a file goes to the pool. */
async function pool(store: Store, folder: string, name: string, bytes: Buffer): Promise<void> {
  const path = join(folder, 'pooled');
  await writeFile(path, bytes);
  const { dev, ino, size, mtimeMs } = await stat(path);
  for await (const file of store.files(E)) {
    if (file.path.at(-1) !== name) continue;
    await store.adopt(E, file, { path: Buffer.from(path), dev, ino, size, mtimeMs, spares: [] });
  }
}

describe('a file that is written to again after its overlay file went', () => {
  let folder: string;
  before(async () => {
    folder = temporaryFolder('overlay');
  });

  const cases: readonly [string, (store: Store, fs: FileSystem, state: string) => Promise<Buffer>][] = [
    [
      'to the pool',
      async (store, _, state) => {
        const bytes = Buffer.alloc(DATA.length, 'p');
        await pool(store, state, 'written', bytes);
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
        const bytes = await end(store, fs, state);
        await write(fs, ino, 2 * 4096, Buffer.alloc(4096, 'after'));
        bytes.fill('after', 2 * 4096, 3 * 4096);
        assert.deepEqual(await read(fs, ino), bytes);
        // As a killed server leaves it: nothing is checkpointed, and the journal lists all.
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
