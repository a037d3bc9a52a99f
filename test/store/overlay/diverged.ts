/** An entry whose names and bytes clients have changed in every possible way, through the vfs. */
import { constants } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fullBitfield } from '../../../src/extent/bitfield.ts';
import { GAP } from '../../../src/extent/extent.ts';
import type { PlanFile } from '../../../src/plan/plan.ts';
import type { Store } from '../../../src/store/store.ts';
import type { FileSystem } from '../../../src/vfs/file-system.ts';
import { RENAME_EXCHANGE } from '../../../src/vfs/operations.ts';
import { fileOf, planOf, sourceOf } from '../../harness/plans.ts';
import { hashOf, inoOf, tree } from '../fixture.ts';

const BYTES = 3 * 4096 + 100;
/** More files than a slice of a discard has. */
const MANY = 250;

export const DATA = Buffer.from(Array.from({ length: BYTES }, (_, i) => i % 251));

const NAMES = [
  'written',
  'cut',
  'long',
  'gone',
  'replaced',
  'moved',
  'a',
  'b',
  'sub/x',
  'sub/y',
  'touched',
  'same',
  'al',
];

/** The entry `E`, as planned; its torrent is `T`. */
export async function plannedEntry(store: Store, folder: string): Promise<void> {
  await writeFile(join(folder, 'data'), DATA);
  const mapped = (path: string): PlanFile =>
    fileOf(['T', ...path.split('/')], [{ length: BYTES, source: 0, sourceOffset: 0 }]);
  const files = [
    ...NAMES.map(mapped),
    ...Array.from({ length: MANY }, (_, i) => mapped(`many/${i}`)),
    fileOf(['T', 'gap'], [{ length: BYTES, source: GAP, sourceOffset: 0 }]),
    fileOf(['T', 'link'], [], { symlink: ['same'] }),
  ];
  const pieces = Math.ceil((files.length * BYTES) / 16384);
  const verified = fullBitfield(pieces);
  await store.createEntry({
    ...planOf('E', [sourceOf(join(folder, 'data'))], files),
    infoHash: hashOf('E'),
    pieceCount: pieces,
    pieceLength: 16384,
    verified,
  });
  await store.addNames(
    hashOf('E'),
    files.map(({ path }) => (path[1] === 'al' ? ['T', 'alias'] : undefined)),
  );
}

export async function write(fs: FileSystem, ino: number, position: number, bytes: Buffer): Promise<void> {
  const handle = await fs.open(ino, constants.O_RDWR);
  await fs.write(handle, bytes, position);
  await fs.release(handle);
}

async function make(fs: FileSystem, parent: number, name: string, bytes: string): Promise<void> {
  const { handle } = await fs.create(parent, name, 0o644, constants.O_RDWR);
  await fs.write(handle, Buffer.from(bytes), 0);
  await fs.release(handle);
}

/** Changes the entry in every way that clients can. */
export async function diverge(store: Store, fs: FileSystem): Promise<void> {
  const ino = (path: string): number => inoOf(store, `E/T/${path}`);
  const top = inoOf(store, 'E/T');
  const block = Buffer.alloc(4096, 'w');
  await write(fs, ino('written'), 4096, block);
  await write(fs, ino('gap'), 0, Buffer.alloc(BYTES, 'g'));
  await fs.setattr(ino('cut'), { size: 5 });
  await write(fs, ino('long'), 4 * 4096, block);
  await fs.unlink(top, 'gone');
  await fs.unlink(top, 'replaced');
  await make(fs, top, 'replaced', 'another');
  await write(fs, ino('moved'), 0, block);
  await fs.rename(top, 'moved', top, 'moved.part');
  await make(fs, top, 'moved', 'in its place');
  await fs.rename(top, 'a', top, 'b', RENAME_EXCHANGE);
  await fs.rename(top, 'sub', top, 'sub2');
  await fs.rename(ino('sub2'), 'y', top, 'y');
  await fs.setattr(ino('touched'), { mtime: { seconds: 5, nanoseconds: 6 } });
  await fs.rename(top, 'alias', top, 'alias.!qB');
  const made = await fs.mkdir(top, 'new', 0o755);
  const { ino: deep } = await fs.mkdir(made.ino, 'deep', 0o755);
  await make(fs, deep, 'file', 'made');
  await fs.link(fs.paths.find(deep, 'file'), top, 'file too');
  await fs.symlink(top, 'made link', 'elsewhere');
  await fs.unlink(top, 'link');
  await fs.symlink(top, 'link', 'elsewhere');
  await make(fs, inoOf(store, 'E'), '.parts', 'parts');
  for (let i = 0; i < MANY; i++) {
    if (i % 3 === 0) await fs.rename(ino('many'), `${i}`, ino('many'), `${i}.part`);
    else if (i % 3 === 1) await write(fs, ino(`many/${i}`), 0, block);
    else await fs.setattr(ino(`many/${i}`), { size: i });
  }
}

/** Lists the names and the contents of files: everything that a discard restores. */
export async function snapshot(store: Store): Promise<string[]> {
  const extents = new Map<number, string>();
  for await (const file of store.files(hashOf('E'))) extents.set(file.ino, JSON.stringify(file.extents));
  return (await tree(store)).map((path) => {
    const ino = inoOf(store, path);
    const inode = store.inode(ino);
    if (inode?.type === 'directory') return `${path}/ ${inode.nlink}`;
    const { type, mode, nlink, size, mtime, content, baseEnd } = inode ?? {};
    return JSON.stringify([path, ino, type, mode, nlink, size, mtime, content, baseEnd, extents.get(ino)]);
  });
}
