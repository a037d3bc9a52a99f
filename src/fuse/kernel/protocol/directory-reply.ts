/** Packs names into the reply to readdir or readdirplus, up to the size that the kernel asked for. */
import { bytesOfName } from '../../../bytes/name-text.ts';
import type { Dentry } from '../../../vfs/operations.ts';
import { TYPE_BITS } from '../../file-mode.ts';
import { type Entry, finishRead, writeEntry, writeInteger } from './replies.ts';
import { DIRENT, ENTRY_OUT, OUT_HEADER } from './structures.ts';

/** Names begin at multiples of it. */
const ALIGNMENT = 8;
const TYPE_SHIFT = 12;

/**
 * One reply. `add` (readdir) or `addWithEntry` (readdirplus) each name, until one has no room: the listing stopped before it.
 */
export class DirectoryReply {
  readonly #buffer: Buffer;
  #end: number = OUT_HEADER.bytes;

  /** `size`: bytes behind the header. */
  constructor(size: number) {
    this.#buffer = Buffer.allocUnsafe(OUT_HEADER.bytes + size);
  }

  get isEmpty(): boolean {
    return this.#end === OUT_HEADER.bytes;
  }

  /** Adds a name. False if there is no room for it. */
  add(dentry: Dentry): boolean {
    return this.#add(dentry, 0, undefined);
  }

  /**
   * Adds a name and what it leads to, which counts as a lookup of its node. Without `entry` (for `.` and `..`) the kernel takes
   * the name alone. False if there is no room for it.
   */
  addWithEntry(dentry: Dentry, entry: Entry | undefined): boolean {
    return this.#add(dentry, ENTRY_OUT.bytes, entry);
  }

  #add({ name, ino, type, offset }: Dentry, before: number, entry: Entry | undefined): boolean {
    const { at } = DIRENT;
    const bytes = bytesOfName(name);
    const start = this.#end;
    const base = start + before;
    const nameAt = base + DIRENT.bytes;
    const end = start + Math.ceil((nameAt + bytes.length - start) / ALIGNMENT) * ALIGNMENT;
    const buffer = this.#buffer;
    if (end > buffer.length) return false;
    if (entry !== undefined) writeEntry(buffer, entry, start);
    else buffer.fill(0, start, base);
    writeInteger(buffer, ino, base + at.ino);
    writeInteger(buffer, offset, base + at.offset);
    buffer.writeUInt32LE(bytes.length, base + at.nameLength);
    buffer.writeUInt32LE(TYPE_BITS[type] >>> TYPE_SHIFT, base + at.type);
    buffer.set(bytes, nameAt);
    buffer.fill(0, nameAt + bytes.length, end);
    this.#end = end;
    return true;
  }

  /** Gives the reply. Empty, it says that the directory has no further names. */
  finish(unique: bigint): Buffer {
    return finishRead(this.#buffer, unique, this.#end - OUT_HEADER.bytes);
  }
}
