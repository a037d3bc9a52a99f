import assert from 'node:assert/strict';
import { constants, rmSync, writeFileSync } from 'node:fs';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { GAP } from '../../src/extent/extent.ts';
import { ExtentMap } from '../../src/extent/extent-map.ts';
import { silentLogger } from '../../src/logger.ts';
import { openCLibrary } from '../../src/native/c-library.ts';
import { DescriptorBudget } from '../../src/native/descriptor-budget.ts';
import { loadFileCalls } from '../../src/native/files.ts';
import { ReadersLook } from '../../src/source/look-at-readers.ts';
import { OwnMounts } from '../../src/source/own-mounts.ts';
import { SourceFiles } from '../../src/source/served-sources.ts';
import { MappedContent } from '../../src/store/overlay/content.ts';
import { Descriptors } from '../../src/store/overlay/descriptors.ts';
import { OverlayFiles } from '../../src/store/overlay/overlay-files.ts';
import { newInode } from '../../src/store/records/record.ts';
import { Store } from '../../src/store/store.ts';
import { FileSystem } from '../../src/vfs/file-system.ts';
import type { MappedFile } from '../../src/vfs/open-file.ts';
import { type ProvenBytes, Reading } from '../../src/vfs/reading.ts';
import { anywhere } from '../harness/anywhere.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { LOCAL_LOOKS } from '../harness/looks.ts';
import { fileOf, planOf, sourceOf } from '../harness/plans.ts';
import { openLevel } from '../harness/volume.ts';

const BLOCK = 4096;

const NOTHING_DOUBTED: ProvenBytes = {
  isProven: () => true,
  follow: () => {},
  copyAtOnce: () => 0,
  read: async () => assert.fail('nothing is doubted'),
};

it('reads the base in one go below the blocks that are written over it', async (t) => {
  const libc = loadFileCalls(openCLibrary(silentLogger));
  const { preadCached } = libc;
  if (preadCached === undefined) return t.skip('not on this kernel');
  const folder = temporaryFolder('vfs');
  const source = join(folder, 'source');
  const expected = Buffer.from(Array.from({ length: 40 * BLOCK }, (_, i) => (i * 7) % 251));
  await fs.writeFile(source, expected);
  const level = await openLevel(folder);
  const store = await Store.open(level, { logger: silentLogger, statePath: folder });
  await store.createEntry(
    planOf(
      'E',
      [sourceOf(source)],
      [
        fileOf(
          ['file'],
          [
            { length: 20 * BLOCK, source: 0, sourceOffset: 0 },
            { length: BLOCK, source: GAP, sourceOffset: 0 },
            { length: 10 * BLOCK, source: 0, sourceOffset: 21 * BLOCK },
          ],
        ),
      ],
    ),
  );
  expected.fill(0, 20 * BLOCK, 21 * BLOCK);
  let calls = 0;
  const files = new FileSystem({
    store,
    libc: {
      ...libc,
      preadCached: (...args) => {
        calls++;
        return preadCached(...args);
      },
    },
    logger: silentLogger,
    access: anywhere(),
    readersLook: new ReadersLook({ ownMounts: new OwnMounts(), ownFolders: [folder] }),
    looks: LOCAL_LOOKS,
    descriptors: DescriptorBudget.ofProcess(),
    statePath: folder,
    owner: { uid: 0, gid: 0 },
    umask: 0,
  });
  const handle = await files.open(files.paths.find(files.paths.find(1, 'E'), 'file'), constants.O_RDWR);
  // Single blocks, several, the last of the first extent, and a run too long to read below.
  const written = [
    [1, 2],
    [3, 6],
    [19, 20],
    [22, 30],
  ] as const;
  for (const [first, end] of written) {
    expected.fill(first, first * BLOCK, end * BLOCK);
    await files.write(handle, expected.subarray(first * BLOCK, end * BLOCK), first * BLOCK);
  }
  for (const [from, end, reads] of [
    [0, 20, 1 + 3],
    [0, 31, 1 + 3 + 3],
    [4, 22, 1 + 2 + 1],
    [4, 6, 1],
  ] as const) {
    const buffer = Buffer.alloc((end - from) * BLOCK - 10, 0xee);
    calls = 0;
    assert.equal(await files.read(handle, buffer, from * BLOCK + 5), buffer.length);
    assert.ok(buffer.equals(expected.subarray(from * BLOCK + 5, end * BLOCK - 5)), `${from} to ${end}`);
    assert.equal(calls, reads, `${from} to ${end}`);
  }
  await files.release(handle);
  files.close();
  await store.close();
  await level.close();
});

it('reads no overlay file that is not the one whose blocks it looked up', async () => {
  const folder = temporaryFolder('vfs');
  const source = join(folder, 'source');
  const bytes = Buffer.alloc(3 * BLOCK, 'p');
  await fs.writeFile(source, bytes);
  const descriptors = new DescriptorBudget(8);
  const files = new OverlayFiles(folder);
  const overlays = new Descriptors(files, descriptors);
  const pooled = ExtentMap.single(bytes.length, 0);
  const inode = newInode('file', { seconds: 0, nanoseconds: 0 }, { size: bytes.length, baseEnd: bytes.length });
  const content = new MappedContent(7, { ...inode, content: 'overlaid' }, pooled, overlays.create(7));
  await fs.writeFile(files.path(7), bytes);
  content.written(0, bytes.length);
  const sources = new SourceFiles({
    record: () => sourceOf(source),
    access: anywhere(),
    readersLook: new ReadersLook({ ownMounts: new OwnMounts(), ownFolders: [folder] }),
    looks: LOCAL_LOOKS,
    onReaders() {},
    descriptors,
    logger: silentLogger,
  });
  const file: MappedFile = { kind: 'mapped', content, bound: new Map() };
  const blocks = [0, 1].flatMap((block) => content.slice(block * BLOCK, BLOCK));
  const reading = new Reading({}, sources, NOTHING_DOUBTED);
  const buffer = Buffer.alloc(2 * BLOCK);
  const read = reading.readWaiting(file, blocks, buffer);
  // The pool takes the file while its first block is read, and then somebody writes: the file has another overlay file.
  content.becomeMapped(pooled);
  rmSync(files.path(7));
  content.overlay = overlays.create(7);
  content.overlaid = true;
  writeFileSync(files.path(7), Buffer.alloc(2 * BLOCK));
  await read;
  assert.ok(buffer.equals(bytes.subarray(0, 2 * BLOCK)));
  reading.unbind(file);
  content.overlay.close();
  sources.close();
});
