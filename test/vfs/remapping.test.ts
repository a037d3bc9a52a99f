import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { constants, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { array, asyncProperty, assert as check, constant, constantFrom, integer, oneof, record } from 'fast-check';
import { hasBit } from '../../src/extent/bitfield.ts';
import { type Extent, GAP, ZEROS } from '../../src/extent/extent.ts';
import type { Stale } from '../../src/store/notices.ts';
import { waitUntil } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { sourceOf } from '../harness/plans.ts';
import { BASE, SOURCE, Volume } from './volume.ts';

const BLOCK = 4096;
const PIECE = 16_384;
const WHOLE = BASE['T/whole']!;
/** The bytes of the torrent. */
const TRUTH = Buffer.concat(Object.values(BASE));
const SKIPPED = SOURCE.indexOf(WHOLE.subarray(0, 64));
/** `T/whole` behind a tag. */
const TAG = 777;
const TAGGED = Buffer.concat([Buffer.alloc(TAG, 't'), WHOLE]);
const GARBAGE = Buffer.from(SOURCE.map((byte) => byte ^ 0x55));

/** Where a part of a file comes from: `right` and `tagged` are its own bytes, of two files. */
type Origin = 'right' | 'tagged' | 'garbage' | 'zeros' | 'gap';

interface Part {
  readonly origin: Origin;
  readonly share: number;
}

/** What `T/whole` ought to be, block by block. */
class Model {
  size = WHOLE.length;
  #base = Buffer.from(WHOLE);
  #gaps = new Uint8Array(WHOLE.length);
  #baseEnd = WHOLE.length;
  readonly #written = new Map<number, Buffer>();

  get bytes(): Buffer {
    const bytes = Buffer.alloc(this.size);
    this.#base.copy(bytes, 0, 0, Math.min(this.#baseEnd, this.size));
    for (const [block, written] of this.#written) written.copy(bytes, block * BLOCK);
    return bytes;
  }

  remap(extents: readonly Extent[], files: readonly Buffer[]): void {
    for (const { offset, length, source, sourceOffset } of extents) {
      this.#base.fill(0, offset, offset + length);
      this.#gaps.fill(source === GAP ? 1 : 0, offset, offset + length);
      if (source >= 0) files[source]!.copy(this.#base, offset, sourceOffset, sourceOffset + length);
    }
  }

  /** Only a block that differs is stored, whole; of a gap, and behind the base, every block is. */
  write(bytes: Buffer, position: number): void {
    const before = this.bytes;
    const end = position + bytes.length;
    for (let block = Math.floor(position / BLOCK); block * BLOCK < end; block++) {
      const [begin, until] = [Math.max(position, block * BLOCK), Math.min(end, (block + 1) * BLOCK)];
      const now = Buffer.alloc(BLOCK);
      before.subarray(block * BLOCK, (block + 1) * BLOCK).copy(now);
      const part = bytes.subarray(begin - position, until - position);
      const same = now.subarray(begin - block * BLOCK, until - block * BLOCK).equals(part);
      const nowhere = until > this.#baseEnd || this.#gaps.subarray(begin, until).includes(1);
      if (same && !nowhere && !this.#written.has(block)) continue;
      part.copy(now, begin - block * BLOCK);
      this.#written.set(block, now);
    }
    this.size = Math.max(this.size, end);
  }

  truncate(size: number): void {
    for (const [block, written] of this.#written) {
      if (block * BLOCK >= size) this.#written.delete(block);
      else if ((block + 1) * BLOCK > size) written.fill(0, size - block * BLOCK);
    }
    if (size < this.size) this.#baseEnd = Math.min(this.#baseEnd, size);
    this.size = size;
  }
}

/** Cuts `T/whole` into parts, which lie in the files `right`, `tagged` and `garbage`. */
function extentsOf(parts: readonly Part[]): Extent[] {
  const sum = parts.reduce((all, { share }) => all + share, 0);
  const extents: Extent[] = [];
  let offset = 0;
  for (const [i, { origin, share }] of parts.entries()) {
    const length =
      i === parts.length - 1
        ? WHOLE.length - offset
        : Math.min(WHOLE.length - offset, Math.round((share / sum) * WHOLE.length));
    if (length === 0) continue;
    const places = {
      right: { source: 0, sourceOffset: SKIPPED + offset },
      tagged: { source: 1, sourceOffset: TAG + offset },
      garbage: { source: 2, sourceOffset: offset },
      zeros: { source: ZEROS, sourceOffset: 0 },
      gap: { source: GAP, sourceOffset: 0 },
    };
    extents.push({ offset, length, ...places[origin] });
    offset += length;
  }
  return extents;
}

describe('a file that is mapped anew', () => {
  let folder: string;
  let volume: Volume;
  const infoHash = createHash('sha1').update('E').digest('hex');
  beforeEach(async () => {
    folder = temporaryFolder('remapping');
    await opened();
  });
  afterEach(async () => await volume.close());

  async function opened(): Promise<void> {
    volume = await Volume.open(folder);
    writeFileSync(join(folder, 'tagged'), TAGGED);
    writeFileSync(join(folder, 'garbage'), GARBAGE);
    trustAll();
  }

  /** The metainfo of the entry is none: no piece of it can be hashed. */
  function trustAll(): void {
    const { store } = volume;
    store.watch({ conditionChanged: (id, _before, now) => void (now !== undefined && store.living.trust(id)) });
  }

  const paths = (): string[] => [volume.source, join(folder, 'tagged'), join(folder, 'garbage')];
  const file = async () => (await volume.store.file(infoHash, 0))!;
  const bits = (): boolean[] => Array.from({ length: 6 }, (_, i) => hasBit(volume.store.pieceMap(infoHash)!, i));

  async function remap(
    extents: readonly Extent[],
    proven: readonly number[] = [],
    more: { readonly was?: number; readonly since?: number; readonly epoch?: number } = {},
  ): Promise<boolean> {
    const since = more.since ?? (await volume.store.verificationBegun(infoHash));
    const { version } = await file();
    const sources = paths().map((path) => sourceOf(path));
    return await volume.store.living.remapFile(infoHash, 0, {
      was: more.was ?? version,
      since,
      epoch: more.epoch ?? volume.store.living.epoch,
      extents,
      sources,
      proven,
      how: 'test',
    });
  }

  it('shows its new bytes to handles that are open and to new ones, below what was written', async () => {
    const handle = await volume.open('T/whole');
    const stale: Stale[] = [];
    const changed: number[] = [];
    volume.store.watch({ stale: (what) => void stale.push(what), sourcesChanged: (ids) => void changed.push(...ids) });
    await volume.files.write(handle, Buffer.from('written'), 5000);
    await volume.files.setattr(volume.ino('T/whole'), { size: 39_000 });
    await volume.files.setattr(volume.ino('T/whole'), { size: 40_000 });
    assert.ok(await remap(extentsOf([{ origin: 'garbage', share: 1 }])));
    const expected = Buffer.from(GARBAGE.subarray(0, 40_000));
    // The block that was written keeps the bytes that it was filled up with.
    WHOLE.copy(expected, BLOCK, BLOCK, 2 * BLOCK);
    expected.write('written', 5000);
    expected.fill(0, 39_000);
    assert.ok((await volume.readHandle(handle, 50_000)).equals(expected));
    assert.ok((await volume.read('T/whole')).equals(expected));
    assert.ok(stale.some((what) => 'ino' in what && what.ino === volume.ino('T/whole')));
    assert.deepEqual(changed, volume.store.living.sourcesAt(Buffer.from(volume.source)));
    await volume.files.release(handle);
    await volume.restart();
    assert.ok((await volume.read('T/whole')).equals(expected));
  });

  it('keeps its entry, its record and its sources right, and releases what it names no more', async () => {
    const { living } = volume.store;
    const entry = volume.store.entry('E')!;
    const [first = -1] = living.sourcesAt(Buffer.from(volume.source));
    assert.deepEqual(bits(), [true, true, false, false, false, true]);
    assert.ok(await remap(extentsOf([{ origin: 'tagged', share: 1 }]), [0]));
    assert.deepEqual(bits(), [true, false, false, false, false, true], 'what was not proven is not verified any more');
    const tagged = await file();
    assert.deepEqual([tagged.status, tagged.code], ['resized', 'realigned']);
    assert.deepEqual(
      tagged.base.map(({ sourceOffset }) => sourceOffset),
      [TAG],
    );
    const [id = -1] = living.sourcesAt(Buffer.from(join(folder, 'tagged')));
    assert.equal(tagged.base[0]?.source, id);
    assert.deepEqual(
      living.story(id).map(({ from, to, how }) => [from.toString(), to.toString(), how]),
      [[volume.source, join(folder, 'tagged'), 'test']],
    );
    assert.equal(volume.store.entry('E')?.missingBytes, entry.missingBytes);

    assert.ok(
      await remap(
        extentsOf([
          { origin: 'tagged', share: 1 },
          { origin: 'gap', share: 1 },
        ]),
      ),
    );
    const partial = await file();
    assert.deepEqual([partial.status, partial.code], ['partial', 'pieces-failed']);
    assert.equal(volume.store.entry('E')?.missingBytes, entry.missingBytes + 20_000);
    assert.deepEqual(bits(), [true, false, false, false, false, true], 'the first piece is as it was');

    assert.ok(await remap(extentsOf([{ origin: 'gap', share: 1 }])));
    const missing = await file();
    assert.deepEqual([missing.status, missing.code, missing.mode], ['missing', 'changed', 'none']);
    assert.equal(await remap(extentsOf([{ origin: 'right', share: 1 }]), [], { was: partial.version }), false);
    await assert.rejects(remap([{ offset: 0, length: 10, source: 0, sourceOffset: 0 }]), { code: 'TORRENT' });

    // Other files of the entry name the first source still.
    await volume.restart();
    assert.deepEqual(await volume.store.living.usersOf(first), [1]);
    assert.deepEqual(volume.store.living.sourcesAt(Buffer.from(join(folder, 'tagged'))), []);
    assert.equal(volume.store.source(id), undefined);
  });

  it('releases what it named before after some seconds, unless it names it again', { timeout: 60_000 }, async () => {
    const { living } = volume.store;
    const [tagged, garbage] = ['tagged', 'garbage'].map((name) => Buffer.from(join(folder, name)));
    for (const origin of ['tagged', 'garbage', 'tagged', 'right', 'tagged'] as const) {
      assert.ok(await remap(extentsOf([{ origin, share: 1 }])));
    }
    assert.equal(living.sourcesAt(garbage!).length, 1, 'reads may still be under way');
    await waitUntil('the release', async () => await Promise.resolve(living.sourcesAt(garbage!).length === 0));
    const [id = -1] = living.sourcesAt(tagged!);
    assert.deepEqual(await living.usersOf(id), [1]);
    assert.equal((await file()).base[0]?.source, id);
    const page = [];
    for await (const files of living.filesOf(id, 1)) page.push(...files);
    assert.deepEqual(page, [{ index: 0, ino: volume.ino('T/whole') }]);
  });

  it('has doubted sources until all that they supply was proven', async () => {
    const states: (string | undefined)[] = [];
    const { living } = volume.store;
    volume.store.watch({
      conditionChanged: (id, _before, now) =>
        void (now && states.push(`${now.state} ${volume.store.source(id)?.path.toString()}`)),
    });
    const epoch = living.epoch;
    const [tagged, gap] = [
      { origin: 'tagged', share: 1 },
      { origin: 'gap', share: 1 },
    ] as const;
    living.prove(1, 1, 1);
    assert.ok(await remap(extentsOf([tagged]), [0, 1, 2]));
    assert.deepEqual(states, []);
    assert.ok(await remap(extentsOf([{ origin: 'right', share: 1 }]), [0, 1, 2]));
    assert.ok(await remap(extentsOf([tagged]), [0, 2]));
    assert.deepEqual(states, [`doubted ${join(folder, 'tagged')}`]);
    assert.equal(living.epoch, epoch + 1);
    // Piece 2 has bytes of another file, too: what was hashed says nothing of a younger doubt of its source.
    assert.deepEqual(
      [0, 1, 2, 3].map((piece) => living.provenAt(1, piece)),
      [epoch + 1, 0, epoch, 0],
    );
    // Piece 1 has a gap: it cannot be proven.
    assert.ok(await remap(extentsOf([{ origin: 'right', share: 1 }, gap]), [0]));
    assert.equal(states.length, 1);
  });

  it('believes nothing that was proven before somebody wrote to it', async () => {
    const since = await volume.store.verificationBegun(infoHash);
    const { version } = await file();
    await volume.write('T/whole', 'wrong', 20_000);
    const sources = paths().map((path) => sourceOf(path));
    const extents = extentsOf([{ origin: 'tagged', share: 1 }]);
    const request = { was: version, since, epoch: 0, extents, sources, proven: [0, 1], how: 'test' };
    assert.ok(await volume.store.living.remapFile(infoHash, 0, request));
    assert.deepEqual(bits().slice(0, 3), [true, false, false]);
  });

  it('is as a naive model says, after random writes, truncates, remappings and restarts', {
    timeout: 240_000,
  }, async () => {
    const parts = array(
      record({
        origin: constantFrom<Origin[]>('right', 'tagged', 'garbage', 'zeros', 'gap'),
        share: integer({ min: 1, max: 9 }),
      }),
      { minLength: 1, maxLength: 5 },
    );
    const step = oneof(
      { weight: 4, arbitrary: record({ kind: constant('remap' as const), parts }) },
      {
        weight: 5,
        arbitrary: record({
          kind: constant('write' as const),
          position: integer({ min: 0, max: 45_000 }),
          length: integer({ min: 1, max: 9000 }),
          right: constantFrom(true, false),
          seed: integer({ min: 1, max: 255 }),
        }),
      },
      { weight: 2, arbitrary: record({ kind: constant('truncate' as const), size: integer({ min: 0, max: 50_000 }) }) },
      { weight: 1, arbitrary: record({ kind: constantFrom('restart' as const, 'checkpoint' as const) }) },
    );
    let handle: number | undefined;
    const reopen = async (): Promise<void> => {
      handle = await volume.open('T/whole', constants.O_RDWR);
    };
    await check(
      asyncProperty(array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
        await volume.close();
        folder = temporaryFolder('remapping');
        await opened();
        await reopen();
        const model = new Model();
        for (const one of steps) {
          if (one.kind === 'remap') {
            const extents = extentsOf(one.parts);
            const before = bits();
            const old = (await file()).base.map((extent) => ({ ...extent }));
            model.remap(extents, [SOURCE, TAGGED, GARBAGE]);
            const now = Buffer.concat([model.bytes, Buffer.alloc(WHOLE.length)]).subarray(0, WHOLE.length);
            const hasGap = (piece: number): boolean =>
              extents.some(
                ({ offset, length, source }) =>
                  source === GAP && offset < (piece + 1) * PIECE && offset + length > piece * PIECE,
              );
            const proven = [0, 1].filter((piece) => {
              const [from, to] = [piece * PIECE, (piece + 1) * PIECE];
              return !hasGap(piece) && now.subarray(from, to).equals(TRUTH.subarray(from, to));
            });
            assert.ok(await remap(extents, proven));
            const after = bits();
            for (const piece of [0, 1]) {
              if (proven.includes(piece) && !isSameIn(old, (await file()).base, piece))
                assert.ok(after[piece], `piece ${piece} was proven`);
              else assert.ok(before[piece] === true || after[piece] !== true, `piece ${piece} was not`);
            }
          } else if (one.kind === 'write') {
            const right = WHOLE.subarray(one.position, one.position + one.length);
            const bytes = one.right && right.length > 0 ? right : Buffer.alloc(one.length, one.seed);
            model.write(bytes, one.position);
            await volume.files.write(handle!, bytes, one.position);
          } else if (one.kind === 'truncate') {
            model.truncate(one.size);
            await volume.truncate('T/whole', one.size);
          } else if (one.kind === 'checkpoint') await volume.store.checkpoint();
          else {
            await volume.restart();
            trustAll();
            await reopen();
          }
          assert.ok((await volume.readHandle(handle!, 60_000)).equals(model.bytes), `after ${one.kind}`);
          for (const [piece, verified] of bits().entries()) {
            if (!verified || piece > 1) continue;
            const [from, to] = [piece * PIECE, (piece + 1) * PIECE];
            assert.ok(
              model.bytes.subarray(from, to).equals(TRUTH.subarray(from, to)),
              `piece ${piece} is verified and wrong`,
            );
          }
        }
        assert.ok((await volume.read('T/whole')).equals(model.bytes));
      }),
      { numRuns: 30 },
    );
  });

  it('is read and written without a pause or a wrong byte while it is remapped again and again', async () => {
    const handle = await volume.open('T/whole');
    const expected = Buffer.from(WHOLE);
    let reads = 0;
    const ended = new AbortController();
    const reading = (async () => {
      while (!ended.signal.aborted) {
        const bytes = await volume.readHandle(handle, 40_000);
        assert.ok(bytes.subarray(2 * BLOCK).equals(expected.subarray(2 * BLOCK)));
        reads++;
        await new Promise(setImmediate);
      }
    })();
    for (let i = 0; i < 60; i++) {
      const [one, other] = i % 2 === 0 ? (['right', 'tagged'] as const) : (['tagged', 'right'] as const);
      const text = Buffer.from(`write ${i}`.padEnd(100, '.'));
      // Whatever was proven before this write, it is not believed.
      const since = await volume.store.verificationBegun(infoHash);
      const writing = volume.files.write(handle, text, (i * 97) % 8000);
      const remapping = remap(
        extentsOf([
          { origin: one, share: 1 + (i % 7) },
          { origin: other, share: 3 },
        ]),
        [0, 1, 2],
        { since },
      );
      text.copy(expected, (i * 97) % 8000);
      assert.deepEqual(await Promise.all([writing, remapping]), [100, true]);
    }
    ended.abort();
    await reading;
    assert.ok(reads > 10, `${reads} reads`);
    assert.ok((await volume.readHandle(handle, 40_000)).equals(expected));
    assert.equal(bits()[0], false, 'it was written to');
  });
});

/** True if a piece comes from the same places before and after. */
function isSameIn(before: readonly Extent[], after: readonly Extent[], piece: number): boolean {
  const within = (extents: readonly Extent[]): (string | number)[] =>
    extents.flatMap(({ offset, length, source, sourceOffset }) => {
      const [from, to] = [Math.max(offset, piece * PIECE), Math.min(offset + length, (piece + 1) * PIECE)];
      return from < to ? [from, to, source, source < 0 ? 0 : sourceOffset + from - offset] : [];
    });
  return within(before).join() === within(after).join();
}
