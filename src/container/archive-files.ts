/** Reads archives on a disk, whose volumes it finds by name. */
import { closeSync, readSync } from 'node:fs';
import type { Difference } from '../source/identity.ts';
import { openSourceSync } from '../source/open-source.ts';
import type { SourceAccess } from '../source/source-access.ts';
import type { Archive, Volumes } from './container.ts';
import { openRar } from './rar.ts';
import { nextVolumeNames } from './volume-names.ts';
import { openZip } from './zip.ts';

export interface VolumeFile {
  readonly path: Buffer;
  readonly size: number;
}

/** The most volumes of a set. `.r00` to `.z99` are 900. */
const MAX_VOLUMES = 10_000;

/**
 * Lists the names of the volumes that follow `first`, in order, up to the first that is missing.
 * `has` tells whether there is a file of a name. Names are byte strings.
 */
export function volumesAfter(first: string, has: (name: string) => boolean): string[] {
  const names: string[] = [];
  for (let last = first; names.length < MAX_VOLUMES - 1; ) {
    const next = nextVolumeNames(last).find(has);
    if (next === undefined) break;
    names.push(next);
    last = next;
  }
  return names;
}

/** Bounds of what is read of one archive to list it and to find its members: no real one comes near. */
const MOST_READS = 300_000;
const MOST_BYTES = 2 ** 30;
/** Milliseconds in which it is read. */
const MOST_MS = 120_000;

/** A volume cannot be opened. */
export class VolumeFailure extends Error {
  readonly code: Difference['code'];

  constructor({ code, says }: Difference) {
    super(`a volume ${says}`);
    this.code = code;
  }
}

/**
 * An archive whose volumes are files. Reading opens one of them at a time, as a set may have more volumes than a process
 * may have files; `close` closes it, and the next reading opens it again.
 * @throws VolumeFailure; the error of a system call
 */
export class ArchiveFiles implements Volumes {
  readonly #first: VolumeFile;
  readonly #further: () => readonly VolumeFile[];
  readonly #access: SourceAccess;
  #files: readonly VolumeFile[] | undefined;
  #reads = 0;
  #bytes = 0;
  #ms = 0;
  #cutShort = false;
  #open: { readonly volume: number; readonly fd: number } | undefined;

  /** `further` is asked only if the first volume looks like an archive: many files with such a name are none. */
  constructor(first: VolumeFile, further: () => readonly VolumeFile[], access: SourceAccess) {
    this.#access = access;
    this.#first = first;
    this.#further = further;
  }

  get files(): readonly VolumeFile[] {
    this.#files ??= [this.#first, ...this.#further()];
    return this.#files;
  }

  get count(): number {
    return this.files.length;
  }

  /** Opens the archive. Undefined where the files are none of a known kind. */
  archive(): Archive | undefined {
    return openRar(this) ?? openZip(this);
  }

  size(volume: number): number {
    return this.#file(volume)?.size ?? 0;
  }

  /** Reads that were made. */
  get reads(): number {
    return this.#reads;
  }

  /** True if the archive had more to read than the limits allow: then it read as if it ended there. */
  get cutShort(): boolean {
    return this.#cutShort;
  }

  read(volume: number, offset: number, length: number): Buffer {
    this.#reads++;
    this.#bytes += length;
    if (this.#reads > MOST_READS || this.#bytes > MOST_BYTES || this.#ms > MOST_MS) {
      this.#cutShort = true;
      return Buffer.alloc(0);
    }
    const began = performance.now();
    try {
      return this.#readNow(volume, offset, length);
    } finally {
      this.#ms += performance.now() - began;
    }
  }

  #readNow(volume: number, offset: number, length: number): Buffer {
    const buffer = Buffer.allocUnsafe(length);
    const fd = this.#fd(volume);
    if (fd === undefined) return buffer.subarray(0, 0);
    let filled = 0;
    while (filled < length) {
      const got = readSync(fd, buffer, filled, length - filled, offset + filled);
      if (got === 0) break;
      filled += got;
    }
    return buffer.subarray(0, filled);
  }

  close(): void {
    const open = this.#open;
    this.#open = undefined;
    if (open !== undefined) closeSync(open.fd);
  }

  #file(volume: number): VolumeFile | undefined {
    return volume === 0 ? this.#first : this.files[volume];
  }

  /** Opens a volume, which the caller has seen as a regular file: a link that took its place is refused. */
  #fd(volume: number): number | undefined {
    if (this.#open?.volume === volume) return this.#open.fd;
    this.close();
    const path = this.#file(volume)?.path;
    if (path === undefined) return undefined;
    const opened = openSourceSync({ path }, this.#access);
    if (opened.state !== 'as recorded') throw new VolumeFailure(opened.why);
    this.#open = { volume, fd: opened.fd };
    return opened.fd;
  }
}
