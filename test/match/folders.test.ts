/**
 * Many small files that no whole piece covers: they are decided together. The right folder has another name; an older version
 * has the torrent's name and the same names and sizes, and a third of its files differ.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Metainfo } from '../../src/metainfo/metainfo.ts';
import { Random } from '../stress/random.ts';
import { content, type Files, torrent } from './fixtures.ts';
import { type Found, matchBench, readMatched, type Setting } from './matching.ts';

const COUNT = 60;
const KIB = 1024;
const SETTINGS: readonly (readonly [string, Setting])[] = [
  ['probe', { verify: 'probe' }],
  ['full', { verify: 'full' }],
  ['probe and hash_size', { verify: 'probe', scanModes: ['unsplitable', 'normal', 'hash_size'] }],
  ['full and hash_size', { verify: 'full', scanModes: ['unsplitable', 'normal', 'hash_size'] }],
];

/** A torrent's files below its name: folders, small files, and some large ones. */
function pack(seed: number, most: number): Record<string, Buffer> {
  const random = new Random(seed);
  const files: Record<string, Buffer> = {};
  for (let i = 0; i < COUNT; i++) {
    const length = i % 20 === 7 ? random.between(40 * KIB, 90 * KIB) : random.between(1, most);
    files[`${['', 'sub/', 'sub/deep/'][i % 3]}file ${i}.txt`] = content(`${seed} ${i}`, length);
  }
  return files;
}

function other(bytes: Buffer): Buffer {
  const changed = Buffer.from(bytes);
  changed[bytes.length >> 1]! ^= 0xff;
  return changed;
}

/** Gives the files below `folder`, where those that `isOther` picks have other bytes. */
function below(folder: string, files: Files, isOther: (i: number) => boolean = () => false): Record<string, Buffer> {
  return Object.fromEntries(
    Object.entries(files).map(([path, bytes], i) => [`${folder}/${path}`, isOther(i) ? other(bytes) : bytes]),
  );
}

function assertFound(found: Found, files: Files): void {
  assert.equal(found.missingBytes, 0, found.reason);
  for (const [i, bytes] of Object.values(files).entries()) assert.ok(readMatched(found, i).equals(bytes), `file ${i}`);
}

describe('small files are decided together', () => {
  const { match } = matchBench();

  for (const [name, setting] of SETTINGS) {
    for (const kib of [16, 256]) {
      const files = pack(kib, 3000);
      const wanted: Metainfo = torrent('Pack', files, kib * KIB);
      const find = async (disk: Files): Promise<Found> => await match(disk, wanted, setting);
      const title = `${name}, pieces of ${kib} KiB`;

      it(`the whole folder wins over the older version of the right name: ${title}`, async () => {
        for (const place of ['a/Other', 'z/Other']) {
          const found = await find({ ...below('m/Pack', files, (i) => i % 3 === 1), ...below(place, files) });
          assertFound(found, files);
        }
      });

      it(`one of many folders is the right one: ${title}`, async () => {
        const disk: Record<string, Buffer> = below('k/Pack kept', files);
        for (let v = 0; v < 9; v++)
          Object.assign(
            disk,
            below(`${'cx'[v % 2]}/Pack ${v}`, files, (i) => i % 3 === v % 3),
          );
        assertFound(await find(disk), files);
      });

      it(`the older version supplies what the right folder lacks: ${title}`, async () => {
        const right = Object.entries(below('z/Other', files)).filter((_, i) => i % 9 !== 0);
        const disk = { ...below('m/Pack', files, (i) => i % 3 === 1), ...Object.fromEntries(right) };
        assertFound(await find(disk), files);
      });

      it(`a folder under each name, its subfolders renamed, too: ${title}`, async () => {
        const moved = Object.fromEntries(
          Object.entries(files).map(([path, bytes]) => [`z/Other/${path.replace('sub', 'Anhang')}`, bytes]),
        );
        assertFound(await find({ ...below('m/Pack', files, (i) => i % 3 === 1), ...moved }), files);
      });
    }

    it(`each of two folders has some of a piece: ${name}`, async () => {
      // Two or three files a piece: every combination is within the limits.
      const files = pack(5, 9000);
      const wanted = torrent('Pack', files);
      const disk = { ...below('m/Pack', files, (i) => i % 4 === 1), ...below('z/Other', files, (i) => i % 4 === 3) };
      assertFound(await match(disk, wanted, setting), files);
    });

    if (setting.scanModes === undefined) continue;
    it(`the whole folder wins with all its files renamed: ${name}`, async () => {
      const files = pack(7, 3000);
      const renamed = Object.fromEntries(Object.values(files).map((bytes, i) => [`z/kept/${i * 7}.dat`, bytes]));
      const disk = { ...below('m/Pack', files, (i) => i % 3 === 1), ...renamed };
      assertFound(await match(disk, torrent('Pack', files), setting), files);
    });
  }
});
