/**
 * Stores digests by question, in a LevelDB of their own. A group is one record: which of its slots are filled, and with what.
 *
 *     generation (4 bytes, big-endian) group (16 bytes) → filled slots (8 bytes, slot 0 the first bit) digest*
 *     ff → version, generation, bytes written in it (three doubles)
 *
 * Generations bound its size: what is written or found goes into the newest one. When that takes half of the room, the one
 * before it is dropped, and a new one begins.
 */
import type { Level } from 'level';
import { hasBit, setBit } from '../extent/bitfield.ts';
import { GROUP_SLOTS, type Slot } from './digest-question.ts';

/** A LevelDB whose default encodings are Buffers. */
export type DigestDatabase = Level<Buffer, Buffer>;

export interface Digest {
  readonly slot: Slot;
  readonly digest: Buffer;
}

interface Group {
  readonly digests: (Buffer | undefined)[];
  /** True: it must be written, since it lies in an older generation or has more digests than its record. */
  dirty: boolean;
}

const VERSION = 1;
const STATE_KEY = Buffer.of(0xff);
const FILLED_BYTES = GROUP_SLOTS / 8;

export class DigestCache {
  readonly #db: DigestDatabase;
  readonly #maxBytes: number;
  #generation = 1;
  /** Bytes in the newest generation. Undefined until the state was read. */
  #bytes: number | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(db: DigestDatabase, maxBytes: number) {
    this.#db = db;
    this.#maxBytes = maxBytes;
  }

  /** Looks digests up, in the order of the slots. Undefined for unknown ones. */
  async get(slots: readonly (Slot | undefined)[]): Promise<(Buffer | undefined)[]> {
    return await this.#alone(async () => {
      const groups = await this.#load(slots.filter((slot) => slot !== undefined));
      await this.#store(groups);
      return slots.map((slot) => (slot === undefined ? undefined : groups.get(slot.group)?.digests[slot.index]));
    });
  }

  async put(found: readonly Digest[]): Promise<void> {
    await this.#alone(async () => {
      const groups = await this.#load(found.map(({ slot }) => slot));
      for (const { slot, digest } of found) {
        const group: Group = groups.get(slot.group) ?? { digests: [], dirty: true };
        group.digests[slot.index] = digest;
        group.dirty = true;
        groups.set(slot.group, group);
      }
      await this.#store(groups);
    });
  }

  async close(): Promise<void> {
    await this.#alone(async () => await this.#db.close());
  }

  /** Runs actions one after the other: each reads, changes and writes groups. */
  async #alone<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(action, action);
    this.#last = turn;
    return await turn;
  }

  async #load(slots: readonly Slot[]): Promise<Map<string, Group>> {
    await this.#begin();
    const digestBytes = new Map(slots.map(({ group, digestBytes }) => [group, digestBytes]));
    const groups = new Map<string, Group>();
    for (const generation of [this.#generation, this.#generation - 1]) {
      const names = [...digestBytes.keys()].filter((name) => !groups.has(name));
      const values = await this.#db.getMany(names.map((name) => keyOf(generation, name)));
      for (const [i, name] of names.entries()) {
        const digests = decode(values[i], digestBytes.get(name) ?? 0);
        if (digests !== undefined) groups.set(name, { digests, dirty: generation !== this.#generation });
      }
    }
    return groups;
  }

  async #store(groups: ReadonlyMap<string, Group>): Promise<void> {
    const writes: { type: 'put'; key: Buffer; value: Buffer }[] = [];
    let bytes = this.#bytes ?? 0;
    for (const [name, { digests, dirty }] of groups) {
      if (!dirty) continue;
      const key = keyOf(this.#generation, name);
      const value = encode(digests);
      writes.push({ type: 'put', key, value });
      bytes += key.length + value.length;
    }
    if (writes.length === 0) return;
    const full = bytes >= this.#maxBytes / 2;
    if (full) {
      // The generation that is full now stays, as the older of the two.
      await this.#db.clear({ lt: keyOf(this.#generation, '') });
      this.#generation++;
    }
    this.#bytes = full ? 0 : bytes;
    const state = Buffer.from(Float64Array.of(VERSION, this.#generation, this.#bytes).buffer);
    await this.#db.batch([...writes, { type: 'put', key: STATE_KEY, value: state }]);
  }

  async #begin(): Promise<void> {
    if (this.#bytes !== undefined) return;
    const state = await this.#db.get(STATE_KEY);
    if (state?.length === 24) {
      const [version, generation, bytes] = [state.readDoubleLE(0), state.readDoubleLE(8), state.readDoubleLE(16)];
      if (version === VERSION) {
        this.#generation = generation;
        this.#bytes = bytes;
        return;
      }
    }
    await this.#db.clear();
    this.#bytes = 0;
  }
}

function keyOf(generation: number, group: string): Buffer {
  const key = Buffer.alloc(4 + group.length);
  key.writeUInt32BE(generation);
  key.write(group, 4, 'latin1');
  return key;
}

function encode(digests: readonly (Buffer | undefined)[]): Buffer {
  const filled = Buffer.alloc(FILLED_BYTES);
  const parts: Buffer[] = [filled];
  for (const [i, digest] of digests.entries()) {
    if (digest === undefined) continue;
    setBit(filled, i);
    parts.push(digest);
  }
  return Buffer.concat(parts);
}

/** Reads a record. Undefined if there is none, or if its length does not fit its first bytes. */
function decode(value: Buffer | undefined, digestBytes: number): (Buffer | undefined)[] | undefined {
  if (value === undefined || value.length < FILLED_BYTES) return undefined;
  const digests: (Buffer | undefined)[] = [];
  let at = FILLED_BYTES;
  for (let i = 0; i < GROUP_SLOTS; i++) {
    if (!hasBit(value, i)) continue;
    digests[i] = value.subarray(at, at + digestBytes);
    at += digestBytes;
  }
  return at === value.length ? digests : undefined;
}
