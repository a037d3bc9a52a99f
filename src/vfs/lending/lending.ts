/**
 * Lends open files to threads, which read them without asking the thread that owns them.
 *
 * A file is lent as a list of extents over descriptors, in a table that all threads share (`table.ts`). It is lent after a read
 * of it, since what is read once is read again. Rules:
 * - The owner recalls a file before it changes anything of it, and before it acknowledges that (`Loans.recall`): before bytes
 *   come from elsewhere (a first write, a truncate, a remap, the pool), before a descriptor is closed, when a source is
 *   distrusted, doubted, or taken for something else. A recall changes the version of the file's slot.
 * - A reader looks at the version, reads, and looks again. If it has changed, the read did not take place. So nobody counts
 *   readers or waits for them: what was read through a descriptor that was closed, or of a slot that was half written, is never
 *   used. A read that ends after a change was acknowledged has begun before it, or has its bytes.
 * - A reader reads from the page cache alone. What is not there, what is not lent and what fails is read by the owner.
 * - Sources are looked at after each read, as `reading.ts` does, and a file is lent only as long as its sources have been looked
 *   at within the last second (`until`). Lent are only sources of local file systems, and never one that is doubted.
 * - A change of bytes that are written already is seen by all who read the overlay file, and recalls nothing.
 */
import { fstatSync } from 'node:fs';
import { type Extent, OVERLAY } from '../../extent/extent.ts';
import { putLook } from '../../native/borrowed-reads.ts';
import { statxWords } from '../../native/statx.ts';
import type { Loans } from '../../source/loans.ts';
import { FRESH_MS } from '../../source/served-sources.ts';
import type { SourceFile } from '../../source/source-file.ts';
import type { MappedFile, OpenInode, PlainFile } from '../open-file.ts';
import type { Reading } from '../reading.ts';
import {
  DESCRIPTOR,
  EXTENT,
  NO_BYTES,
  NOT_LENT,
  newTable,
  type SharedTable,
  SLOT,
  SLOTS,
  sharedClock,
  slotOf,
} from './table.ts';

/** Milliseconds after which a file is lent anew: writes may recall it again at once. */
const AGAIN_MS = 20;
/** A file is described for at most one part in so many of the time. */
const SHARE = 20;
/** Extents of a file that is lent. */
const MOST_EXTENTS = 65_536;

type OverlayFile = PlainFile['content']['overlay'];

/** Reads and bytes that threads have read. */
export interface LentCounts {
  readonly reads: number;
  readonly bytes: number;
}

/** For drivers with threads that read (`Operations.lending`). */
export interface LendingAbility {
  readonly table: SharedTable;
  readonly counts: LentCounts;
}

interface Described {
  readonly size: number;
  /** Nobody changes its size without a recall. */
  readonly isWhole: boolean;
  /** False: some extents are not lent. */
  readonly isComplete: boolean;
  readonly extents: readonly Pick<Extent, 'offset' | 'sourceOffset'>[];
  /** For each extent. */
  readonly descriptors: readonly number[];
  readonly files: readonly (SourceFile | OverlayFile)[];
}

interface Lent {
  readonly ino: number;
  readonly isComplete: boolean;
  readonly sources: readonly SourceFile[];
  readonly recall: () => void;
}

export class Lending implements LendingAbility {
  readonly table: SharedTable;
  readonly #reading: Pick<Reading, 'doubtOf'>;
  readonly #lent = new Map<number, Lent>();
  /** For each slot the time before which nothing is lent in it. */
  readonly #notBefore = new Float64Array(SLOTS);
  readonly #ahead: number;
  #used = 0;
  #closed = false;

  constructor(reading: Pick<Reading, 'doubtOf'>, table: SharedTable = newTable()) {
    this.#reading = reading;
    this.table = table;
    this.#ahead = sharedClock()() - performance.now();
  }

  get counts(): LentCounts {
    let [reads, bytes] = [0, 0];
    for (const [i, count] of this.table.counts.entries()) {
      if (i % 2 === 0) reads += count;
      else bytes += count;
    }
    return { reads, bytes };
  }

  /** Lends a file that was read, if it can be lent. */
  offer(open: OpenInode): void {
    const slot = slotOf(open.ino);
    const now = performance.now();
    const lent = this.#lent.get(slot);
    if (lent?.ino === open.ino && this.#renew(slot, lent, now) && lent.isComplete) return;
    if (now < this.#notBefore[slot]! || this.#closed) return;
    const described = describe(open.file, this.#reading, now);
    lent?.recall();
    if (described !== undefined) this.#lend(slot, open, described, now);
    const took = performance.now() - now;
    this.#notBefore[slot] = now + Math.max(AGAIN_MS, took * SHARE);
  }

  /** Lends a file for longer, since its sources were looked at. False if one of them was not. */
  #renew(slot: number, { sources }: Lent, now: number): boolean {
    const until = untilOf(sources);
    this.table.slots[slot * SLOT.numbers + SLOT.until] = until + this.#ahead;
    return until > now;
  }

  #lend(slot: number, { ino, file }: OpenInode, described: Described, now: number): void {
    const { size, isWhole, isComplete, extents, descriptors, files } = described;
    const place = this.#place(files.length * DESCRIPTOR.numbers + extents.length * EXTENT.numbers);
    if (place === undefined) return;
    const { versions, slots, room } = this.table;
    const sources = files.filter((each) => 'standing' in each);
    const extentsAt = place + files.length * DESCRIPTOR.numbers;
    for (const [i, each] of files.entries()) putDescriptor(room, place + i * DESCRIPTOR.numbers, each);
    for (const [i, { offset, sourceOffset }] of extents.entries()) {
      const at = extentsAt + i * EXTENT.numbers;
      room[at + EXTENT.offset] = offset;
      room[at + EXTENT.descriptor] = descriptors[i] ?? NOT_LENT;
      room[at + EXTENT.at] = sourceOffset;
    }
    const at = slot * SLOT.numbers;
    slots[at + SLOT.ino] = ino;
    slots[at + SLOT.size] = size;
    slots[at + SLOT.isWhole] = isWhole ? 1 : 0;
    slots[at + SLOT.until] = Math.min(untilOf(sources), now + 2 ** 40) + this.#ahead;
    slots[at + SLOT.descriptors] = place;
    slots[at + SLOT.extents] = extentsAt;
    slots[at + SLOT.count] = extents.length;
    const loans: readonly Loans[] = [file.content.loans, ...files.map((each) => each.loans)];
    const recall = (): void => {
      if (this.#lent.get(slot)?.recall !== recall) return;
      this.#lent.delete(slot);
      Atomics.add(versions, slot, 1);
      for (const each of loans) each.remove(recall);
    };
    for (const each of loans) each.add(recall);
    this.#lent.set(slot, { ino, isComplete, sources, recall });
    Atomics.add(versions, slot, 1);
  }

  /** Finds room for numbers. Where there is none left, all files are recalled, and those that are read are lent again. */
  #place(numbers: number): number | undefined {
    const { length } = this.table.room;
    if (numbers > length / 4) return undefined;
    if (this.#used + numbers > length) this.#recallAll();
    const place = this.#used;
    this.#used += numbers;
    return place;
  }

  #recallAll(): void {
    for (const { recall } of this.#lent.values()) recall();
    this.#used = 0;
  }

  /** Nothing is lent any more. */
  close(): void {
    this.#closed = true;
    this.#recallAll();
  }
}

/** Tells until when sources need no look. */
function untilOf(sources: readonly SourceFile[]): number {
  let until = Number.POSITIVE_INFINITY;
  for (const { checkedAt } of sources) until = Math.min(until, checkedAt + FRESH_MS);
  return until;
}

function putDescriptor(room: Float64Array, at: number, file: SourceFile | OverlayFile): void {
  const isSource = 'standing' in file;
  room[at + DESCRIPTOR.fd] = isSource ? file.fd : (file.openFd ?? -1);
  room[at + DESCRIPTOR.looked] = isSource ? 1 : 0;
  if (!isSource) return;
  const { size, mtimeNs, ctimeNs } = file.standing;
  putLook(room, at + DESCRIPTOR.look, statxWords(size, mtimeNs, ctimeNs));
}

/** Undefined for a file that is not lent at all. */
function describe(file: MappedFile | PlainFile, reading: Pick<Reading, 'doubtOf'>, now: number): Described | undefined {
  return file.kind === 'plain' ? describePlain(file) : describeMapped(file, reading, now);
}

function describePlain({ content: { overlay, isSource } }: PlainFile): Described | undefined {
  const { openFd } = overlay;
  if (openFd === undefined || isSource) return undefined;
  const { size } = fstatSync(openFd);
  if (size === 0) return undefined;
  const extents = [{ offset: 0, sourceOffset: 0 }];
  return { size, isWhole: false, isComplete: true, extents, descriptors: [0], files: [overlay] };
}

function describeMapped(
  { content, bound }: MappedFile,
  { doubtOf }: Pick<Reading, 'doubtOf'>,
  now: number,
): Described | undefined {
  if (content.extents.count > MOST_EXTENTS || content.size === 0) return undefined;
  const extents = content.slice(0, content.size);
  if (extents.length > MOST_EXTENTS) return undefined;
  const files: (SourceFile | OverlayFile)[] = [];
  const places = new Map<number, number>();
  const placeOf = (id: number): number => {
    if (id === OVERLAY) return content.overlay?.openFd === undefined ? NOT_LENT : files.push(content.overlay) - 1;
    if (id < 0) return NO_BYTES;
    const source = bound.get(id);
    if (source === undefined || source.closed || !source.local || doubtOf(source, id) > 0) return NOT_LENT;
    return now - source.checkedAt < FRESH_MS ? files.push(source) - 1 : NOT_LENT;
  };
  const descriptors = extents.map(({ source }) => {
    const place = places.get(source) ?? placeOf(source);
    places.set(source, place);
    return place;
  });
  if (files.length === 0) return undefined;
  const isComplete = !descriptors.includes(NOT_LENT);
  return { size: content.size, isWhole: true, isComplete, extents, descriptors, files };
}
