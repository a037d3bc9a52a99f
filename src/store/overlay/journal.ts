/**
 * The journal of the overlay: what was written over files since their last checkpoint (`docs/overlay.md`).
 *
 * A record is appended before its write is acknowledged, and never synced: the journal is for `kill -9`, which leaves
 * the page cache intact. After a power loss records may be on the disk without the data, so a journal of another boot
 * is ignored.
 *
 * A file: 32 bytes (magic, boot id, sequence number), then records of 36 bytes. Replaying the records in order,
 * including those that have taken effect already, gives the same state.
 */
import fs from 'node:fs';
import { join } from 'node:path';
import { errnoOf, PosixError } from '../../errors.ts';
import type { Timestamp } from '../../native/timestamp.ts';

export type JournalRecord = {
  readonly ino: number;
  readonly time: Timestamp;
} & (
  | { readonly kind: 'write'; readonly offset: number; readonly end: number }
  | { readonly kind: 'truncate'; readonly size: number }
  /** The file is mapped and gets an overlay file: earlier records of it belong to an overlay file that is gone. */
  | { readonly kind: 'begin' }
);

/** The values in a record. */
const KINDS = { write: 1, truncate: 2, begin: 3 } as const;
const MAGIC = Buffer.from('ATJRNL\0\x01', 'latin1');
const HEADER_BYTES = 32;
const RECORD_BYTES = 36;
const PREFIX = 'journal-';
/** At this length a file takes 7 MiB, and a checkpoint of its records begins. */
const FULL_RECORDS = 200_000;
/** FNV-1a, 32 bits. */
const FNV_BASIS = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

export class Journal {
  readonly #folder: string;
  readonly #bootId: Buffer;
  readonly #record = Buffer.alloc(RECORD_BYTES);
  #sequence: number;
  #fd: number | undefined;
  #end = HEADER_BYTES;
  /**
   * The files with records that are not recorded elsewhere yet, including the open one and those of earlier servers.
   */
  #paths: string[] = [];

  private constructor(folder: string, bootId: Buffer, sequence: number, paths: string[]) {
    this.#folder = folder;
    this.#bootId = bootId;
    this.#sequence = sequence;
    this.#paths = paths;
  }

  /** Opens a new journal and reads what earlier servers of this boot have left to be replayed. */
  static open(folder: string, bootId = readBootId()): { journal: Journal; left: Iterable<JournalRecord> } {
    const files: JournalFile[] = [];
    for (const name of fs.readdirSync(folder)) {
      if (!name.startsWith(PREFIX)) continue;
      const path = join(folder, name);
      const file = readFile(path);
      if (file?.bootId.equals(bootId) === true) files.push(file);
      else fs.rmSync(path);
    }
    files.sort((a, b) => a.sequence - b.sequence);
    const sequence = (files.at(-1)?.sequence ?? 0) + 1;
    const journal = new Journal(
      folder,
      bootId,
      sequence,
      files.map((file) => file.path),
    );
    return { journal, left: recordsOf(files) };
  }

  /** Tells if a journal is left of a server that did not end by itself. */
  static isLeftIn(folder: string): boolean {
    return fs.readdirSync(folder).some((name) => name.startsWith(PREFIX));
  }

  get isFull(): boolean {
    return this.#end >= HEADER_BYTES + FULL_RECORDS * RECORD_BYTES;
  }

  /** @throws file errors of the disk */
  append(record: JournalRecord): void {
    const fd = this.#fd ?? this.#begin();
    const { seconds, nanoseconds } = record.time;
    const bytes = this.#record;
    bytes.writeUInt8(KINDS[record.kind], 4);
    bytes.writeUIntBE(record.ino, 5, 6);
    bytes.writeUIntBE(record.kind === 'write' ? record.offset : record.kind === 'truncate' ? record.size : 0, 11, 6);
    bytes.writeUIntBE(record.kind === 'write' ? record.end : 0, 17, 6);
    bytes.writeDoubleBE(seconds, 23);
    bytes.writeUInt32BE(nanoseconds, 31);
    bytes.writeUInt32BE(checksum(bytes, 0), 0);
    // At a position, not at the end: the next record overwrites one that a full disk has truncated.
    if (fs.writeSync(fd, bytes, 0, RECORD_BYTES, this.#end) !== RECORD_BYTES) throw noRoom();
    this.#end += RECORD_BYTES;
  }

  /** Begins another file. `forget` deletes the earlier ones, once their records are recorded elsewhere. */
  rotate(): { forget: () => void; keep: () => void } {
    const paths = this.#paths;
    this.close();
    this.#paths = [];
    return {
      forget: () => {
        for (const path of paths) fs.rmSync(path, { force: true });
      },
      keep: () => this.#paths.unshift(...paths),
    };
  }

  close(): void {
    if (this.#fd !== undefined) fs.closeSync(this.#fd);
    this.#fd = undefined;
    this.#end = HEADER_BYTES;
  }

  #begin(): number {
    const sequence = this.#sequence++;
    const header = Buffer.alloc(HEADER_BYTES);
    MAGIC.copy(header);
    this.#bootId.copy(header, 8);
    header.writeUIntBE(sequence, 24, 6);
    const path = join(this.#folder, `${PREFIX}${sequence}`);
    const fd = fs.openSync(path, 'wx', 0o600);
    try {
      if (fs.writeSync(fd, header, 0, HEADER_BYTES, 0) !== HEADER_BYTES) throw noRoom();
    } catch (error) {
      // No reader would trust what followed.
      fs.closeSync(fd);
      fs.rmSync(path, { force: true });
      throw error;
    }
    this.#fd = fd;
    this.#paths.push(path);
    this.#end = HEADER_BYTES;
    return fd;
  }
}

interface JournalFile {
  readonly path: string;
  readonly bootId: Buffer;
  readonly sequence: number;
  readonly bytes: Buffer;
}

function readFile(path: string): JournalFile | undefined {
  let bytes: Buffer;
  try {
    bytes = fs.readFileSync(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  if (bytes.length < HEADER_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  return { path, bootId: bytes.subarray(8, 24), sequence: bytes.readUIntBE(24, 6), bytes };
}

/** Reads one record at a time: there may be hundreds of thousands, and the mount waits for them. */
function* recordsOf(files: readonly JournalFile[]): Generator<JournalRecord, void, undefined> {
  for (const { bytes } of files) {
    for (let at = HEADER_BYTES; at + RECORD_BYTES <= bytes.length; at += RECORD_BYTES) {
      // It was being appended, and was not acknowledged.
      if (bytes.readUInt32BE(at) !== checksum(bytes, at)) break;
      const ino = bytes.readUIntBE(at + 5, 6);
      const time = { seconds: bytes.readDoubleBE(at + 23), nanoseconds: bytes.readUInt32BE(at + 31) };
      const offset = bytes.readUIntBE(at + 11, 6);
      const kind = bytes[at + 4];
      if (kind === KINDS.write) yield { kind: 'write', ino, time, offset, end: bytes.readUIntBE(at + 17, 6) };
      else if (kind === KINDS.truncate) yield { kind: 'truncate', ino, time, size: offset };
      else yield { kind: 'begin', ino, time };
    }
  }
}

function noRoom(): PosixError {
  return new PosixError('ENOSPC', 'there is no room for the journal');
}

/** The checksum of the record at `at`. */
function checksum(bytes: Buffer, at: number): number {
  let hash = FNV_BASIS;
  for (let i = at + 4; i < at + RECORD_BYTES; i++) hash = Math.imul(hash ^ (bytes[i] ?? 0), FNV_PRIME);
  return hash >>> 0;
}

/** The boot id of random(4), new at each boot. If the kernel has none: an id that no other server has. */
function readBootId(): Buffer {
  try {
    return Buffer.from(
      fs.readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').replaceAll(/[^0-9a-f]/g, ''),
      'hex',
    );
  } catch {
    return Buffer.from(Array.from({ length: 16 }, () => Math.floor(Math.random() * 256)));
  }
}
