/** An entry whose files are mapped to sources in a folder, and the file system over it, with all that doubts sources. */
import {
  closeSync,
  constants,
  cpSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Extent, GAP, ZEROS } from '../../../src/extent/extent.ts';
import { silentLogger } from '../../../src/logger.ts';
import { parseMetainfo } from '../../../src/metainfo/parse.ts';
import { pieceHashes } from '../../../src/metainfo/piece-hashes.ts';
import { openCLibrary } from '../../../src/native/c-library.ts';
import { isAtOrBelow } from '../../../src/native/mountinfo.ts';
import type { PlanFile } from '../../../src/plan/plan.ts';
import { ProvenSources } from '../../../src/server/proven-sources.ts';
import { type SettlingQueue, SourceConditions } from '../../../src/server/source-conditions.ts';
import type { Hold } from '../../../src/source/held-sources.ts';
import type { LeaseOptions } from '../../../src/source/leased-sources.ts';
import type { LookedAtSource } from '../../../src/source/looked-at.ts';
import { sourceLooks } from '../../../src/source/source-looks.ts';
import type { FileSystemOptions } from '../../../src/vfs/file-system.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { libtorrentOf } from '../../harness/libtorrent.ts';
import { makeTorrentOf } from '../../harness/make-torrent.ts';
import { fileOf, planOf, sourceOf } from '../../harness/plans.ts';
import { type OpenVolume, openVolume } from '../../harness/volume.ts';

export interface LibraryOptions {
  readonly version?: 'v1' | 'v2' | 'hybrid';
  readonly pieceLength?: number;
  /** The files of the torrent, by name. */
  readonly files: Readonly<Record<string, Buffer>>;
  /** Ranges that no source has, by name: offset and length. */
  readonly gaps?: Readonly<Record<string, readonly [offset: number, length: number]>>;
  /** Each source has a copy of its own as a spare. */
  readonly spares?: boolean;
  readonly verifyReads?: 'suspect' | 'first' | 'off';
  readonly queue?: SettlingQueue;
  /** Where its folder is made. Default: that of temporary files. */
  readonly base?: string;
  /** Leases are taken on sources; looks are those of a server then. */
  readonly leases?: Omit<LeaseOptions, 'doubts'>;
  readonly hold?: Hold;
  readonly passthrough?: FileSystemOptions['passthrough'];
  readonly onReadChanged?: FileSystemOptions['onReadChanged'];
}

/** Bytes of which no two parts are alike. */
export function content(seed: number, length: number): Buffer {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  for (let i = 0; i < words.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    words[i] = state ^ (state >>> 13);
  }
  return Buffer.from(words.buffer, 0, length);
}

export class Library {
  readonly folder: string;
  readonly #options: LibraryOptions;
  readonly #raw: Buffer;
  #volume: OpenVolume | undefined;
  /** What ends doubts, as in the server. */
  proven: ProvenSources | undefined;

  private constructor(folder: string, raw: Buffer, options: LibraryOptions) {
    this.folder = folder;
    this.#raw = raw;
    this.#options = options;
  }

  static async make(options: LibraryOptions): Promise<Library> {
    const { files, version = 'v1', pieceLength = 16_384, base } = options;
    const folder = base === undefined ? temporaryFolder('proving') : mkdtempSync(join(base, 'proving-'));
    for (const [name, data] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, 'T', name)), { recursive: true });
      writeFileSync(join(folder, 'T', name), data);
    }
    const raw =
      version === 'v1'
        ? makeTorrentOf(join(folder, 'T'), { pieceLength }).raw
        : Buffer.from(libtorrentOf(join(folder, 'T'), version, pieceLength));
    cpSync(join(folder, 'T'), join(folder, 'disk'), { recursive: true });
    if (options.spares === true) cpSync(join(folder, 'T'), join(folder, 'spares'), { recursive: true });
    const library = new Library(folder, raw, options);
    await library.open();
    await library.#add();
    return library;
  }

  async open(verifyReads = this.#options.verifyReads ?? 'suspect'): Promise<void> {
    const { queue, leases, hold, passthrough, onReadChanged } = this.#options;
    this.#volume = await openVolume(join(this.folder, 'state'), {
      kept: {
        isOwn: (path) => isAtOrBelow(path, Buffer.from(join(this.folder, 'kept'))),
        isPin: (path) => isAtOrBelow(path, Buffer.from(join(this.folder, 'kept', 'pins'))),
        release: async (path) => await rm(path, { force: true }),
      },
      ...(leases === undefined ? {} : { leases, looks: sourceLooks(openCLibrary(silentLogger)) }),
      hold,
      onReadChanged,
      ...(passthrough === undefined ? {} : { passthrough }),
      doubts: (store) =>
        new SourceConditions({
          store,
          verifyReads,
          queue,
          logger: silentLogger,
        }),
    });
  }

  /** Ends the doubts of what was proven. */
  endDoubts(): void {
    this.proven = new ProvenSources({ store: this.volume.store, logger: silentLogger });
  }

  async #add(): Promise<void> {
    const metainfo = parseMetainfo(this.#raw);
    const sources: LookedAtSource[] = [];
    const files = metainfo.files.map(({ path, length, pad }): PlanFile => {
      const shown = ['T', ...path];
      if (pad) return fileOf(shown, [{ length, source: ZEROS, sourceOffset: 0 }], { status: 'pad' });
      if (length === 0) return fileOf(shown, []);
      const name = path.join('/');
      const source = sources.length;
      sources.push(sourceOf(this.source(name), this.#options.spares === true ? [source + 1] : []));
      if (this.#options.spares === true) sources.push(sourceOf(this.spare(name)));
      return fileOf(shown, this.#extents(name, length, source));
    });
    const { infoHash, pieceCount, pieceLength } = metainfo;
    const aligned = metainfo.version === 'v2' ? ({ aligned: true } as const) : {};
    const plan = { ...planOf('E', sources, files), infoHash, pieceCount, pieceLength, ...aligned, metainfo: this.#raw };
    await this.volume.store.createEntry({ ...plan, verified: Buffer.alloc(Math.ceil(pieceCount / 8), 0xff) });
    await this.volume.store.markAdded([infoHash]);
  }

  #extents(name: string, length: number, source: number): Omit<Extent, 'offset'>[] {
    const gap = this.#options.gaps?.[name];
    if (gap === undefined) return [{ length, source, sourceOffset: 0 }];
    const [from, missing] = gap;
    return [
      { length: from, source, sourceOffset: 0 },
      { length: missing, source: GAP, sourceOffset: 0 },
      { length: length - from - missing, source, sourceOffset: from + missing },
    ].filter((extent) => extent.length > 0);
  }

  get volume(): OpenVolume {
    if (this.#volume === undefined) throw new Error('the library is closed');
    return this.#volume;
  }

  /** The id of the source of a file. */
  id(name: string): number {
    const [id] = this.volume.store.living.sourcesAt(Buffer.from(this.source(name)));
    if (id === undefined) throw new Error(`no source ${name}`);
    return id;
  }

  source(name: string): string {
    return join(this.folder, 'disk', name);
  }

  spare(name: string): string {
    return join(this.folder, 'spares', name);
  }

  /** Keeps ranges of what a source has now, as a spare of it; holes are all else. Returns the kept file's id. */
  async keep(name: string, ranges: readonly (readonly [offset: number, end: number])[]): Promise<number> {
    const path = join(this.folder, 'kept', name);
    mkdirSync(dirname(path), { recursive: true });
    const data = readFileSync(this.source(name));
    const fd = openSync(path, 'w');
    ftruncateSync(fd, data.length);
    for (const [offset, end] of ranges) writeSync(fd, data, offset, end - offset, offset);
    closeSync(fd);
    const file = { ...sourceOf(path), ctimeNs: undefined, readers: 'nobody' } as const;
    const kept = await this.volume.store.living.keep(this.id(name), file, 'is kept');
    if (kept === undefined) throw new Error(`${name} was not kept`);
    return kept;
  }

  async openFile(name: string): Promise<number> {
    const { fileSystem } = this.volume;
    let ino = fileSystem.paths.find(1, 'E');
    for (const part of ['T', ...name.split('/')]) ino = fileSystem.paths.find(ino, part);
    return await fileSystem.open(ino, constants.O_RDONLY);
  }

  async readHandle(handle: number, length: number, position = 0): Promise<Buffer> {
    const buffer = Buffer.alloc(length, 0xee);
    let done = 0;
    while (done < length) {
      const bytes = await this.volume.fileSystem.read(handle, buffer.subarray(done, done + 131_072), position + done);
      if (bytes === 0) break;
      done += bytes;
    }
    return buffer.subarray(0, done);
  }

  /** Reads a range of a file through a handle of its own. Default: all of it. */
  async read(name: string, position = 0, length = this.original(name).length - position): Promise<Buffer> {
    const handle = await this.openFile(name);
    try {
      return await this.readHandle(handle, length, position);
    } finally {
      await this.volume.fileSystem.release(handle);
    }
  }

  /** What the torrent has. */
  original(name: string): Buffer {
    return readFileSync(join(this.folder, 'T', name));
  }

  /** The number of hashes that prove all pieces of the torrent. */
  get pieces(): number {
    const metainfo = parseMetainfo(this.#raw);
    return Array.from({ length: metainfo.pieceCount }, (_, piece) => pieceHashes(metainfo, piece)).length;
  }

  get hashed(): number {
    return this.volume.fileSystem.piecesHashed;
  }

  state(name: string): string {
    return this.volume.store.living.condition(this.id(name))?.state ?? 'trusted';
  }

  async close(): Promise<void> {
    await this.#volume?.close();
    this.#volume = undefined;
  }
}
