/**
 * Writes and truncates plain files, which are their overlay file and need no record.
 *
 * A plain file that replaced a torrent's file may have been verified: its pieces are marked as unverified before a byte
 * of them changes.
 */
import fs from 'node:fs';
import { promisify } from 'node:util';
import { PosixError } from '../../errors.ts';
import type { Pieces } from '../entries/pieces.ts';
import type { MaybePromise } from '../maybe-promise.ts';
import type { Inode } from '../records/record.ts';
import type { Tree } from '../tree/tree.ts';
import type { PlainContent } from './content.ts';
import type { OverlayDisk } from './overlay-disk.ts';

const ftruncateAsync = promisify(fs.ftruncate);
const readAsync = promisify(fs.read);

export class PlainWriting {
  readonly #tree: Tree;
  readonly #pieces: Pieces;
  readonly #disk: OverlayDisk;
  /** Called for each entry whose bytes change. */
  readonly #onChange: (entry: number) => void;

  constructor(tree: Tree, pieces: Pieces, disk: OverlayDisk, onChange: (entry: number) => void) {
    this.#tree = tree;
    this.#pieces = pieces;
    this.#disk = disk;
    this.#onChange = onChange;
  }

  /** Writes all of `buffer`, or fails. @throws ENOSPC, EIO, file errors of the disk */
  write(content: PlainContent, buffer: Buffer, position: number): MaybePromise<number> {
    refuseSource(content);
    const inode = this.#tree.inode(content.ino);
    if (inode?.torrentOffset !== undefined) return this.#writeAdopted(inode, content, buffer, position);
    return this.#write(content, buffer, position);
  }

  #write(content: PlainContent, buffer: Buffer, position: number): MaybePromise<number> {
    this.#disk.reserve(buffer.length);
    const writing = this.#disk.write(content.overlay.fd, buffer, position);
    if (writing === undefined) return buffer.length;
    return content.overlay.during(async () => {
      await writing;
      return buffer.length;
    });
  }

  async #writeAdopted(inode: Inode, content: PlainContent, buffer: Buffer, position: number): Promise<number> {
    const there = Buffer.alloc(buffer.length);
    const bytes = await content.overlay.during(async (fd) => await readAll(fd, there, position));
    if (bytes === buffer.length && there.equals(buffer)) return bytes;
    return await this.#changing(inode, position, position + buffer.length, () =>
      this.#write(content, buffer, position),
    );
  }

  async #changing<T>(inode: Inode, from: number, to: number, work: () => MaybePromise<T>): Promise<T> {
    const { entry, torrentOffset = 0 } = inode;
    const pieces = await this.#pieces.of(entry);
    if (pieces === null) return await work();
    const changed = pieces.changing(torrentOffset + from, torrentOffset + to);
    try {
      await this.#pieces.unverify(pieces, torrentOffset + from, torrentOffset + to, { sync: true });
      return await work();
    } finally {
      changed();
      this.#onChange(entry);
    }
  }

  /** @throws EIO, file errors of the disk */
  async truncate(content: PlainContent, size: number): Promise<void> {
    refuseSource(content);
    await content.overlay.during(async (fd) => {
      // By a thread: freeing a large file takes time.
      const work = async (): Promise<void> => await ftruncateAsync(fd, size);
      const inode = this.#tree.inode(content.ino);
      if (inode?.torrentOffset === undefined) return await work();
      const before = fs.fstatSync(fd).size;
      return await this.#changing(inode, Math.min(size, before), Math.max(size, before), work);
    });
  }
}

function refuseSource({ isSource, ino }: PlainContent): void {
  if (isSource) throw new PosixError('EIO', `the file of inode ${ino} is a source now, and is not written to`);
}

/** Reads until `buffer` is full or the file ends; returns the number of bytes. */
export async function readAll(fd: number, buffer: Buffer, position: number): Promise<number> {
  let done = 0;
  while (done < buffer.length) {
    const { bytesRead } = await readAsync(fd, buffer, done, buffer.length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}
