/** Cases of sources of which something was kept. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { appendFileSync, mkdirSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import type { HealRecord, Outcome } from '../../src/heal/case.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { identityAt } from '../harness/plans.ts';
import { NaiveIndex } from '../match/naive-index.ts';
import { caseOf, healBench, indexOf, mappedBytes, type World, worldOf } from './bench.ts';

const PIECE = 16_384;
const PIECES = 61;

describe('settling with what was kept', () => {
  const base = temporaryFolder('heal-kept');
  const { settle } = healBench();
  let count = 0;

  function album(sizes: readonly number[]): { disk: string; paths: string[]; data: Buffer[]; world: World } {
    const disk = join(base, String(count++));
    mkdirSync(join(disk, 'music'), { recursive: true });
    const files = sizes.map((size, i) => {
      const path = join(disk, 'music', `${i}.flac`);
      const data = randomBytes(size);
      writeFileSync(path, data);
      return { name: `${i}.flac`, path, data };
    });
    const world = worldOf({ files });
    return { disk, paths: files.map(({ path }) => path), data: files.map(({ data }) => data), world };
  }

  /** Keeps bytes as the server does. */
  function keep(disk: string, name: string, data: Buffer): HealRecord {
    const path = join(disk, '.autotorrent', name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, data);
    return { path: Buffer.from(path), ...identityAt(path), ctimeNs: undefined };
  }

  /** The bytes that remaps take from what was kept. */
  function keptBytes(outcomes: readonly Outcome[]): number {
    let bytes = 0;
    for (const outcome of outcomes) {
      if (outcome.kind !== 'remap') continue;
      for (const { length, source } of outcome.ranges) {
        if (outcome.sources[source]?.path.includes('.autotorrent') === true) bytes += length;
      }
    }
    return bytes;
  }

  const changes: readonly [string, (path: string, data: Buffer) => void, fromKept: number][] = [
    ['with a longer tag at its head', (path, data) => tag(path, data), 1],
    ['with a shorter tag at its head', (path, data) => writeFileSync(path, data.subarray(77)), 1],
    ['with a tag at its end', (path) => appendFileSync(path, randomBytes(128)), 0],
    ['with another end', (path, data) => writeFileSync(path, data.fill(7, data.length - 128)), 1],
    ['overwritten in the middle', (path, data) => writeFileSync(path, data.fill(7, 500_000, 500_100)), 1],
    ['with bytes inserted in the middle', inserted, 1],
    ['that was cut', (path) => truncateSync(path, 30 * PIECE + 100), 31],
  ];
  for (const [what, change, fromKept] of changes) {
    it(`takes from it only the pieces that a file ${what} no longer has`, async () => {
      const { disk, paths, data, world } = album([PIECES * PIECE]);
      const [path = '', film = Buffer.alloc(0)] = [paths[0], data[0]];
      const kept = [keep(disk, 'one', film)];
      change(path, Buffer.from(film));
      const never = { freshIndex: () => Promise.reject(new Error('the index was renewed')) };
      const one = caseOf(world, 1, { state: 'doubted', reason: 'was modified', kept });
      const outcomes = await settle(world, one, never);
      assert.ok(outcomes.every(({ kind }) => kind === 'remap'));
      assert.deepEqual(mappedBytes(outcomes, 0, film), { right: PIECES * PIECE, wrong: 0 });
      const proven = outcomes.flatMap((outcome) => (outcome.kind === 'remap' ? outcome.proven : []));
      assert.equal(proven.length, PIECES);
      // An insertion within a small piece is found to the byte.
      assert.ok(keptBytes(outcomes) <= fromKept * PIECE, `${keptBytes(outcomes)} bytes from what was kept`);
    });
  }

  it('takes all of a deleted file from it, if there is no copy, and no index is renewed for that', async () => {
    const { disk, paths, data, world } = album([PIECES * PIECE + 1234]);
    const kept = [keep(disk, 'one', data[0]!)];
    rmSync(paths[0]!);
    const never = { freshIndex: () => Promise.reject(new Error('the index was renewed')) };
    const outcomes = await settle(world, caseOf(world, 1, { kept }), { ...never, rules: { disks: [disk] } });
    assert.deepEqual(mappedBytes(outcomes, 0, data[0]!), { right: PIECES * PIECE + 1234, wrong: 0 });
    assert.match(outcomes[0]?.kind === 'remap' ? outcomes[0].how : '', /is gone; its bytes are taken from/);
  });

  it('takes a copy that the index has before it, and only the rest from it', async () => {
    const { disk, paths, data, world } = album([PIECES * PIECE]);
    const kept = [keep(disk, 'one', data[0]!)];
    rmSync(paths[0]!);
    const copy = join(disk, 'copies', '0.flac');
    mkdirSync(dirname(copy));
    writeFileSync(copy, Buffer.concat([randomBytes(512), data[0]!.subarray(0, 45 * PIECE)]));
    const index = indexOf(new NaiveIndex(join(disk, 'copies')));
    const options = { ...index, sizeVarying: 50, rules: { disks: [disk] } };
    const outcomes = await settle(world, caseOf(world, 1, { kept }), options);
    assert.deepEqual(mappedBytes(outcomes, 0, data[0]!), { right: PIECES * PIECE, wrong: 0 });
    assert.equal(keptBytes(outcomes), 16 * PIECE);
    renameSync(copy, join(disk, 'copies', 'x.flac'));
    writeFileSync(copy, data[0]!);
    const [same] = await settle(world, caseOf(world, 1, { kept }), options);
    assert.equal(same?.kind === 'same' ? same.now.path.toString() : same?.kind, copy);
  });

  it('is not mapped while its source may only be away', async () => {
    const { disk, paths, data, world } = album(Array.from({ length: 100 }, () => PIECE));
    const kept = [keep(disk, 'one', data[0]!)];
    const rules = { disks: [disk] };
    rmSync(paths[0]!);
    const moment = caseOf(world, 1, { kept, sinceMs: Date.now() });
    assert.equal((await settle(world, moment, { rules, now: () => Date.now() }))[0]?.kind, 'later');
    for (let i = 1; i < 30; i++) rmSync(paths[i]!);
    assert.equal((await settle(world, caseOf(world, 1, { kept }), { rules }))[0]?.kind, 'waiting');
    const deleted = await settle(world, caseOf(world, 1, { kept, seenDeleted: true }), { rules });
    assert.deepEqual(mappedBytes(deleted, 0, data[0]!), { right: PIECE, wrong: 0 });
  });

  it('supplies the pieces that files of an album share which are all tagged anew at once', async () => {
    const { disk, paths, data, world } = album([3000, 5 * PIECE + 1000, 3000, 200, 7 * PIECE + 77]);
    const kept = data.map((bytes, i) => [keep(disk, String(i), bytes)]);
    for (const [i, path] of paths.entries()) tag(path, data[i]!);
    for (const [i, bytes] of data.entries()) {
      const one = caseOf(world, i + 1, { state: 'doubted', reason: 'was modified', kept: kept[i]! });
      const outcomes = await settle(world, one);
      assert.deepEqual(mappedBytes(outcomes, i, bytes), { right: bytes.length, wrong: 0 }, `file ${i}`);
      assert.ok(outcomes.every(({ kind }) => kind === 'remap'));
      assert.ok(keptBytes(outcomes) <= 3 * PIECE);
    }
  });

  it('is believed as far as its pieces agree: holes are not mapped', async () => {
    const { disk, paths, data, world } = album([PIECES * PIECE]);
    const holes = Buffer.from(data[0]!).fill(0, 20 * PIECE, 30 * PIECE + 1);
    const kept = [keep(disk, 'one', holes)];
    rmSync(paths[0]!);
    const outcomes = await settle(world, caseOf(world, 1, { kept }), { rules: { disks: [disk] } });
    assert.deepEqual(mappedBytes(outcomes, 0, data[0]!), { right: (PIECES - 11) * PIECE, wrong: 0 });
    assert.ok(outcomes.some(({ kind }) => kind === 'lost'));
  });
});

/** 333 bytes of a tag in the place of 100. */
function tag(path: string, data: Buffer): void {
  writeFileSync(path, Buffer.concat([randomBytes(333), data.subarray(100)]));
}

function inserted(path: string, data: Buffer): void {
  writeFileSync(path, Buffer.concat([data.subarray(0, 400_000), randomBytes(999), data.subarray(400_000)]));
}
