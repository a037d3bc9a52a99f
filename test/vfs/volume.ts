/** A file system over a store in a temporary folder, in this process, with the calls that tests make. */
import { constants, existsSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GAP, ZEROS } from '../../src/extent/extent.ts';
import type { Plan } from '../../src/plan/plan.ts';
import { OverlayFiles } from '../../src/store/overlay/overlay-files.ts';
import type { StoreLevel } from '../../src/store/records/database.ts';
import type { Store } from '../../src/store/store.ts';
import type { FileSystem } from '../../src/vfs/file-system.ts';
import type { Dentry, Operations } from '../../src/vfs/operations.ts';
import { fileOf, planOf, sourceOf } from '../harness/plans.ts';
import { type OpenVolume, openVolume } from '../harness/volume.ts';

/** The bytes of the source; no two blocks are the same. */
export const SOURCE = Buffer.from(Array.from({ length: 60_000 }, (_, i) => (i * 7 + (i >> 8) * 13 + 1) % 256));
/** The offset of `T/whole` in the source. */
const SKIPPED = 19;

/** The contents of the files of entry `E` before any write. */
export const BASE: Readonly<Record<string, Buffer>> = {
  'T/whole': SOURCE.subarray(SKIPPED, SKIPPED + 40_000),
  'T/gap': Buffer.alloc(20_000),
  'T/mixed': Buffer.concat([
    SOURCE.subarray(0, 6000),
    Buffer.alloc(6000),
    Buffer.alloc(5000),
    SOURCE.subarray(0, 3000),
  ]),
  'T/last': SOURCE.subarray(100, 5100),
  'T/empty': Buffer.alloc(0),
};

/** A plan with pieces of 16 KiB, all verified but those of `T/gap`. */
export function planFor(source: string, name = 'E'): Plan {
  const files = [
    fileOf(['T', 'whole'], [{ length: 40_000, source: 0, sourceOffset: SKIPPED }]),
    fileOf(['T', 'gap'], [{ length: 20_000, source: GAP, sourceOffset: 0 }]),
    fileOf(
      ['T', 'mixed'],
      [
        { length: 6000, source: 0, sourceOffset: 0 },
        { length: 6000, source: ZEROS, sourceOffset: 0 },
        { length: 5000, source: GAP, sourceOffset: 0 },
        { length: 3000, source: 0, sourceOffset: 0 },
      ],
    ),
    fileOf(['T', 'last'], [{ length: 5000, source: 0, sourceOffset: 100 }]),
    fileOf(['T', 'empty'], []),
  ];
  return { ...planOf(name, [sourceOf(source)], files), pieceCount: 6, verified: Buffer.from([0b1100_0100]) };
}

export class Volume {
  readonly folder: string;
  readonly source: string;
  #opened: OpenVolume;
  /** Entries whose bytes changed, as the file system reported them. */
  readonly changed: number[];

  private constructor(folder: string, opened: OpenVolume, changed: number[]) {
    this.folder = folder;
    this.source = join(folder, 'source');
    this.#opened = opened;
    this.changed = changed;
  }

  /** Opens the volume in `folder`, or makes a new one with an entry `E`. */
  static async open(folder: string): Promise<Volume> {
    const changed: number[] = [];
    const volume = new Volume(folder, await Volume.#open(folder, changed), changed);
    if (existsSync(volume.source)) return volume;
    writeFileSync(volume.source, SOURCE);
    // A time that can be set again.
    utimesSync(volume.source, 1e9, 1e9);
    const plan = planFor(volume.source);
    await volume.store.createEntry(plan);
    await volume.store.markAdded([plan.infoHash]);
    return volume;
  }

  static async #open(folder: string, changed: number[]): Promise<OpenVolume> {
    const opened = await openVolume(folder, { owner: { uid: 0, gid: 0 }, poolPath: join(folder, 'pool') });
    opened.store.watch({ bytesChanged: (entry) => void changed.push(entry) });
    return opened;
  }

  get store(): Store {
    return this.#opened.store;
  }

  get files(): FileSystem {
    return this.#opened.fileSystem;
  }

  get level(): StoreLevel {
    return this.#opened.level;
  }

  async close(): Promise<void> {
    await this.#opened.close();
  }

  /** Restarts as the server does, with everything that a clean end records. */
  async restart(): Promise<void> {
    await this.close();
    this.#opened = await Volume.#open(this.folder, this.changed);
    await this.store.recovered;
  }

  /** Splits a path below the entry into directory and name. */
  place(path: string): [parent: number, name: string] {
    const names = ['E', ...path.split('/')];
    const name = names.pop() ?? '';
    return [names.reduce((parent, each) => this.files.paths.find(parent, each), 1), name];
  }

  ino(path: string): number {
    return path === '' ? this.files.paths.find(1, 'E') : this.files.paths.find(...this.place(path));
  }

  async open(path: string, flags: number = constants.O_RDWR): Promise<number> {
    return await this.files.open(this.ino(path), flags);
  }

  async create(path: string, bytes: Buffer | string = '', mode = 0o644): Promise<number> {
    const { attributes, handle } = await this.files.create(...this.place(path), mode, constants.O_RDWR);
    const buffer = Buffer.from(bytes);
    for (let at = 0; at < buffer.length; at += 131_072) {
      await this.files.write(handle, buffer.subarray(at, at + 131_072), at);
    }
    await this.files.release(handle);
    return attributes.ino;
  }

  async write(path: string, bytes: Buffer | string, position: number): Promise<void> {
    const handle = await this.open(path);
    try {
      await this.files.write(handle, Buffer.from(bytes), position);
    } finally {
      await this.files.release(handle);
    }
  }

  async truncate(path: string, size: number): Promise<void> {
    await this.files.setattr(this.ino(path), { size });
  }

  async unlink(path: string): Promise<void> {
    await this.files.unlink(...this.place(path));
  }

  async rename(from: string, to: string, flags = 0): Promise<void> {
    await this.files.rename(...this.place(from), ...this.place(to), flags);
  }

  /** Reads a whole file. */
  async read(path: string): Promise<Buffer> {
    const handle = await this.open(path, constants.O_RDONLY);
    try {
      return await this.readHandle(handle, this.files.getattr(this.ino(path)).size);
    } finally {
      await this.files.release(handle);
    }
  }

  /** Reads from the beginning; former bytes of the buffer must not show. */
  async readHandle(handle: number, length: number): Promise<Buffer> {
    const buffer = Buffer.alloc(length, 0xee);
    let done = 0;
    while (done < length) {
      const bytes = await this.files.read(handle, buffer.subarray(done, done + 131_072), done);
      if (bytes === 0) break;
      done += bytes;
    }
    return buffer.subarray(0, done);
  }

  overlayPath(ino: number): string {
    return new OverlayFiles(this.folder).path(ino);
  }

  /** Lists all names of a directory. */
  async list(ino: number): Promise<Dentry[]> {
    return await listed(this.files, ino);
  }

  /** Reads a file's overlay file; undefined if there is none. */
  overlay(ino: number): Buffer | undefined {
    const path = this.overlayPath(ino);
    return existsSync(path) ? readFileSync(path) : undefined;
  }

  /** The bytes that an overlay file takes on the disk; 0 if there is none. */
  stored(ino: number): number {
    const path = this.overlayPath(ino);
    return existsSync(path) ? statSync(path).blocks * 512 : 0;
  }
}

/** Returns `before` after a write. */
export function patched(before: Buffer, bytes: Buffer | string, position: number): Buffer {
  const written = Buffer.from(bytes);
  const after = Buffer.alloc(Math.max(before.length, position + written.length));
  before.copy(after);
  written.copy(after, position);
  return after;
}

/** Lists all names of a directory, through a handle of its own. */
export async function listed(operations: Operations, ino: number): Promise<Dentry[]> {
  const handle = await operations.opendir(ino);
  try {
    const found: Dentry[] = [];
    for await (const page of operations.readdir(handle, 0)) found.push(...page);
    return found;
  } finally {
    await operations.releasedir(handle);
  }
}
