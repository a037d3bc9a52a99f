import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { hasBit } from '../../../src/extent/bitfield.ts';
import { GAP } from '../../../src/extent/extent.ts';
import { ExtentMap } from '../../../src/extent/extent-map.ts';
import { identityIn } from '../../../src/source/identity.ts';
import {
  changesOf,
  doubtfulSources,
  epochOf,
  provenInPlace,
  provenNow,
} from '../../../src/store/entries/remap-changes.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { hashOf, source, withStore } from '../fixture.ts';
import { LENGTH, STATES } from './remapped-file.ts';

const child = fileURLToPath(new URL('remapped-file.js', import.meta.url));

describe('a remapping', () => {
  it('is whole or not at all after kill -9', { timeout: 120_000 }, async () => {
    const folder = temporaryFolder('remapping');
    const infoHash = hashOf('A');
    const seen = new Set<number>();
    for (let round = 0; round < 9; round++) {
      const server = spawn(process.execPath, [child, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
      for (let maps = 0; maps <= round % 3; maps++) await once(server.stdout, 'data');
      await sleep((round * 3) % 10);
      server.kill('SIGKILL');
      await once(server, 'exit');
      await withStore(folder, async (store) => {
        await store.recovered;
        const { living } = store;
        const file = (await store.file(infoHash, 0))!;
        const id = file.base[0]!.source;
        const state = STATES.findIndex(({ sources }) => sources[0]!.path.equals(store.source(id)!.path));
        seen.add(state);
        const { extents, proven } = STATES[state]!;
        assert.deepEqual(
          file.base,
          extents.map((extent) => (extent.source === GAP ? extent : { ...extent, source: id })),
        );
        const map = store.pieceMap(infoHash)!;
        assert.deepEqual(
          [0, 1, 2].filter((piece) => hasBit(map, piece)),
          proven,
        );
        const entry = store.entry('A')!;
        assert.equal(entry.missingBytes, state === 2 ? LENGTH / 2 : 0);
        assert.equal(entry.verifiedPieces, proven.length);
        assert.equal(file.status, state === 2 ? 'partial' : 'mapped');
        assert.equal(living.condition(id)?.state, state === 1 ? 'doubted' : undefined);
        if (state === 1) {
          const { epoch } = living.condition(id)!;
          assert.deepEqual(
            [0, 1, 2].map((piece) => living.provenAt(1, piece) >= epoch),
            [true, false, false],
          );
        }
        assert.deepEqual(await living.usersOf(id), [1]);
        // `T/b` names the first source still, and nothing names the third.
        for (const [other, { sources }] of STATES.entries()) {
          assert.equal(
            living.sourcesAt(sources[0]!.path).length > 0,
            other === state || other === 0,
            `source ${other}`,
          );
        }
      });
    }
    assert.ok(seen.size > 1, 'it was always killed in the same state');
  });
});

describe('the changes of extents', () => {
  const mapOf = (...extents: readonly [length: number, source: number, sourceOffset: number][]): ExtentMap => {
    let offset = 0;
    const placed = extents.map(([length, source, sourceOffset]) => {
      offset += length;
      return { offset: offset - length, length, source, sourceOffset };
    });
    return ExtentMap.from(placed, offset);
  };

  it('are the ranges that come from another place', () => {
    const before = mapOf([100, 1, 0], [100, 2, 0]);
    assert.deepEqual(changesOf(before, mapOf([100, 1, 0], [100, 2, 0])), []);
    assert.deepEqual(changesOf(before, mapOf([50, 1, 0], [150, GAP, 0])), [[50, 200]]);
    const cut = mapOf([10, 1, 0], [10, 1, 11], [80, 1, 20], [50, 2, 0], [50, 2, 51]);
    assert.deepEqual(changesOf(before, cut), [
      [10, 20],
      [150, 200],
    ]);
    assert.deepEqual(changesOf(mapOf(), mapOf()), []);
  });

  it('make those sources doubtful that supply pieces which were not proven, and have no gap', () => {
    // Pieces of 100 bytes; the file begins in the middle of piece 0.
    const after = mapOf([50, 1, 0], [100, 2, 0], [50, 3, 0], [50, GAP, 0], [100, 4, 0]);
    const all = [[0, 350]] as const;
    const doubtful = (...proven: readonly number[]) => [...doubtfulSources(all, after, 50, 100, new Set(proven))];
    assert.deepEqual(doubtful(), [1, 2, 4]);
    assert.deepEqual(doubtful(0, 1), [4]);
    assert.deepEqual(doubtful(0, 1, 3), []);
    assert.deepEqual([...doubtfulSources([[50, 150]], after, 50, 100, new Set())], [2]);
  });

  it('leave pieces proven that were hashed where they stay, of the files that are there', () => {
    const file = identityIn(source('x'));
    const doubt = { state: 'doubted', epoch: 7, sinceMs: 0, reason: 'has changed', observed: file } as const;
    assert.deepEqual(
      [epochOf(undefined, file), epochOf(doubt, file), epochOf(doubt, { ...file, size: 8 }), epochOf(doubt, undefined)],
      [0, 7, undefined, undefined],
    );
    // Pieces of 100 bytes; the file begins in the middle of piece 0. Source 3 is another file by now.
    const extents = mapOf([150, 1, 0], [100, 2, 0], [100, 3, 0]);
    const epochs: readonly (number | undefined)[] = [undefined, 7, 0, undefined];
    const kept = (...proven: readonly number[]) => [...provenInPlace(proven, extents, 50, 100, (id) => epochs[id])];
    assert.deepEqual(kept(0, 1, 2, 3), [
      [0, 7],
      [1, 7],
      [2, 0],
    ]);
  });

  it('prove pieces for all doubts but those of after they were hashed', () => {
    // Pieces of 100 bytes; the file begins in the middle of piece 0, and another one follows in the middle of piece 4.
    const extents = mapOf([150, 1, 0], [100, 2, 0], [150, 3, 0]);
    const file = {
      extents,
      torrentOffset: 50,
      pieceLength: 100,
      hashedAt: 7,
      now: 9,
      isYounger: (id: number) => id === 2,
    };
    const proven = (totalLength: number) => [...provenNow([0, 1, 2, 3, 4], { ...file, totalLength })];
    // Piece 0 has bytes of the file before, whose sources are not looked at. Source 2 was doubted since.
    const own = [0, 1, 3].map((piece) => [piece, piece === 0 ? 7 : 9]);
    assert.deepEqual(proven(1000), [...own, [4, 7]]);
    assert.deepEqual(proven(450), [...own, [4, 9]]);
  });
});
