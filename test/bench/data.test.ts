/** The generators of the benchmarks' data: the same for a seed, and true to their own descriptions. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, it } from 'node:test';
import { DataCache, type DataSet } from '../../bench/data/cache.ts';
import { mangled, originalBytes, readMangledTruth } from '../../bench/data/mangled/mangled.ts';
import { type TreeTruth, tree } from '../../bench/data/tree/tree.ts';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import { hashTree, temporaryFolder } from '../harness/folder.ts';

const SCALE = 0.004;

describe("the benchmarks' data", () => {
  const folder = temporaryFolder('bench-data');

  function made(name: string, set: DataSet): string {
    const out = join(folder, name);
    if (existsSync(out)) return out;
    mkdirSync(out);
    set.generate(out);
    return out;
  }

  describe('the tree', () => {
    const small = { files: 1500, seed: 1, torrents: 30 };

    it('is the same for a seed, and another for another', () => {
      const [one, again, other] = [
        made('tree', tree(small)),
        made('tree 2', tree(small)),
        made('tree 3', tree({ ...small, seed: 2 })),
      ];
      assert.deepEqual(listing(again), listing(one));
      assert.deepEqual(bytesBelow(join(again, 'torrents')), bytesBelow(join(one, 'torrents')));
      assert.equal(readFileSync(join(again, 'truth.json'), 'utf8'), readFileSync(join(one, 'truth.json'), 'utf8'));
      assert.notDeepEqual(listing(other), listing(one));
    });

    it('says where the files of its torrents lie', () => {
      const out = made('tree', tree(small));
      const truth = JSON.parse(readFileSync(join(out, 'truth.json'), 'utf8')) as TreeTruth;
      const files = listing(out);
      const sizes = new Map(files.map(([path, size]) => [Buffer.from(path, 'latin1').toString(), size]));
      const namesAndSizes = new Set([...sizes].map(([path, size]) => `${basename(path)}/${size}`));
      assert.ok(truth.files >= small.files);
      assert.equal(truth.files, files.length);
      assert.equal(truth.torrents.length, small.torrents);
      for (const { torrent, files, found_bytes: found, size } of truth.torrents) {
        const metainfo = parseMetainfo(readFileSync(join(out, 'torrents', torrent)));
        assert.equal(metainfo.totalLength, size);
        assert.deepEqual(
          metainfo.files.map((file) => file.length),
          files.map((file) => file.size),
        );
        let bytes = 0;
        for (const file of files) {
          if (file.at !== null) assert.equal(sizes.get(file.at), file.size, file.at);
          if (file.at !== null) assert.equal(file.same_name, basename(file.at) === basename(file.path));
          else assert.ok(!namesAndSizes.has(`${basename(file.path)}/${file.size}`), file.path);
          if (file.at !== null && file.same_name) bytes += file.size;
        }
        assert.equal(found, bytes);
      }
      const variants = new Set(truth.torrents.map(({ variant }) => variant));
      assert.deepEqual([...variants].toSorted(), [
        'another-root',
        'another-size',
        'another-spelling',
        'complete',
        'one-lacking',
      ]);
    });
  });

  describe('the mangled files', () => {
    it('are the same for a seed, and others for another', async () => {
      const [one, again] = [
        made('mangled', mangled({ seed: 1, scale: SCALE })),
        made('mangled 2', mangled({ seed: 1, scale: SCALE })),
      ];
      const other = made('mangled 3', mangled({ seed: 2, scale: SCALE }));
      assert.deepEqual(await hashTree(again), await hashTree(one));
      assert.notDeepEqual(await hashTree(join(other, 'data')), await hashTree(join(one, 'data')));
    });

    it('hold the pieces that they are said to hold, and no others', () => {
      const seed = 1;
      const out = made('mangled', mangled({ seed, scale: SCALE }));
      const truth = readMangledTruth(out);
      const stored = new Map(bytesBelow(join(out, 'data')));
      const sums = { pieces: 0, whole: 0, split: 0 };
      for (const one of truth.torrents) {
        const { pieces, pieceLength } = parseMetainfo(readFileSync(join(out, 'torrents', one.torrent)));
        const wanted = (piece: number): Buffer => pieces.subarray(piece * 20, piece * 20 + 20);
        // The runs supply these of the torrent's bytes; the others must differ.
        const found = Buffer.concat(
          one.files.map((file) => {
            const bytes = Buffer.alloc(file.size, file.stored === null ? 0 : 0xa5);
            for (const { offset, length, stored_offset: at } of file.runs) {
              stored.get(file.stored ?? '')?.copy(bytes, offset, at, at + length);
            }
            return bytes;
          }),
        );
        const whole = new Set(
          one.whole.flatMap(([first, end]) => Array.from({ length: end - first }, (_, i) => first + i)),
        );
        const original = Buffer.concat(
          one.files.map(({ path, size, stored }) =>
            stored === null ? Buffer.alloc(size) : originalBytes(seed, one.case, path, size),
          ),
        );
        for (let piece = 0; piece < one.pieces; piece++) {
          const [from, end] = [piece * pieceLength, Math.min(original.length, (piece + 1) * pieceLength)];
          assert.deepEqual(sha1(original.subarray(from, end)), wanted(piece));
          assert.equal(
            sha1(found.subarray(from, end)).equals(wanted(piece)),
            whole.has(piece),
            `${one.case}, piece ${piece}`,
          );
          const inOnePlace = [...stored.values()].some((bytes) => bytes.includes(original.subarray(from, end)));
          // A piece that several files share is in no single place.
          if (one.files.length === 1)
            assert.equal(inOnePlace, whole.has(piece) && !one.split.includes(piece), `${one.case}, ${piece}`);
        }
        sums.pieces += one.pieces;
        sums.whole += whole.size;
        sums.split += one.split.length;
      }
      assert.deepEqual({ pieces: truth.pieces, whole: truth.whole, split: truth.split }, sums);
      assert.ok(sums.split > 0 && sums.split < sums.whole && sums.whole < sums.pieces);
    });
  });

  describe('the cache', () => {
    const counted = (): DataSet & { times: number } => ({
      name: 'numbers-v1',
      times: 0,
      generate(out) {
        this.times++;
        writeFileSync(join(out, 'number'), '1');
      },
    });

    it('generates once', () => {
      const cache = new DataCache({ AUTOTORRENT_BENCH_DATA: join(folder, 'cache') });
      const set = counted();
      const out = cache.get(set);
      assert.equal(cache.get(set), out);
      assert.equal(set.times, 1);
      assert.equal(readFileSync(join(out, 'number'), 'utf8'), '1');
    });

    it('takes nothing for whole whose generator failed or was killed', () => {
      const cache = new DataCache({ AUTOTORRENT_BENCH_DATA: join(folder, 'cache of failures') });
      const failing: DataSet = {
        name: 'failing-v1',
        generate(out) {
          writeFileSync(join(out, 'half'), '');
          throw new Error('no room');
        },
      };
      assert.throws(() => cache.get(failing), /no room/);
      // No process has this id: the kernel's limit is 2^22.
      mkdirSync(join(cache.folder, 'killed-v1.part-99999999'));
      cache.get(counted());
      assert.deepEqual(readdirSync(cache.folder), ['numbers-v1']);
    });
  });
});

/** Path and size of each file below `data`, in the order of the paths. Names need not be UTF-8: they are read as Latin-1. */
function listing(out: string): [path: string, size: number][] {
  const found = execFileSync('find', [join(out, 'data'), '-type', 'f', '-printf', '%s %P\\0'], { encoding: 'latin1' });
  return found
    .split('\0')
    .filter((line) => line !== '')
    .map((line): [string, number] => [line.slice(line.indexOf(' ') + 1), Number.parseInt(line, 10)])
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
}

function bytesBelow(folder: string): [path: string, bytes: Buffer][] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => statSync(join(folder, path)).isFile())
    .toSorted()
    .map((path) => [path, readFileSync(join(folder, path))]);
}

const sha1 = (bytes: Buffer): Buffer => createHash('sha1').update(bytes).digest();
