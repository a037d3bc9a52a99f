/** Archives as they lie on a disk: their volumes found by name, and read. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { Archive, Volumes } from './container.ts';
import { openRar } from './rar.ts';
import { nextVolumeNames } from './volume-names.ts';
import { openZip } from './zip.ts';

export interface VolumeFile {
  readonly path: Buffer;
  readonly size: number;
}

/** A set has at most 10,000 volumes for us: `.r00` to `.z99` are 900. */
const MAX_VOLUMES = 10_000;

/**
 * The names of an archive's volumes, in order, `first` included: as many as there are without a hole.
 * `has` says whether there is a file of this name; names are byte strings.
 */
export function volumesOf(first: string, has: (name: string) => boolean): string[] {
  const names = [first];
  for (let last = first; names.length < MAX_VOLUMES; ) {
    const next = nextVolumeNames(last).find(has);
    if (next === undefined) break;
    names.push(next);
    last = next;
  }
  return names;
}

/**
 * An archive whose volumes are files. Reading opens one of them at a time, as a set may have more volumes than a process
 * may have files; `close` closes it, and the next reading opens it again. Throws the error of a system call.
 */
export class ArchiveFiles implements Volumes {
  readonly count: number;
  readonly #files: readonly VolumeFile[];
  #open: { readonly volume: number; readonly fd: number } | undefined;

  constructor(files: readonly VolumeFile[]) {
    this.#files = files;
    this.count = files.length;
  }

  /** Undefined where the files are no archive that we can read. */
  archive(): Archive | undefined {
    return openRar(this) ?? openZip(this);
  }

  size(volume: number): number {
    return this.#files[volume]?.size ?? 0;
  }

  read(volume: number, offset: number, length: number): Buffer {
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

  /** Undefined where there is no regular file any more: opening a pipe must not wait for its other end. */
  #fd(volume: number): number | undefined {
    if (this.#open?.volume !== volume) {
      this.close();
      const path = this.#files[volume]?.path;
      if (path === undefined) return undefined;
      const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      this.#open = { volume, fd };
    }
    const fd = this.#open?.fd;
    return fd !== undefined && fstatSync(fd).isFile() ? fd : undefined;
  }
}
