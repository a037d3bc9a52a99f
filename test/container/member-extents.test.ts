import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { type MemberExtent, MemberReader, type NoExtents } from '../../src/container/member-extents.ts';
import { anywhere } from '../harness/anywhere.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { volumeNames, writeRar4, writeRar5 } from './rar-writer.ts';

const DATA = Buffer.from(Uint8Array.from({ length: 50_000 }, (_, i) => (i * 7919) >>> 3));

describe('the extents of a member', () => {
  let folder = '';
  beforeEach(() => {
    folder = temporaryFolder('member');
  });

  const put = (names: readonly string[], volumes: readonly Buffer[]): Buffer => {
    for (const [i, volume] of volumes.entries()) writeFileSync(join(folder, names[i] ?? ''), volume);
    return Buffer.from(join(folder, names[0] ?? ''));
  };
  const ask = (archive: Buffer, name = 'a.bin'): Promise<readonly MemberExtent[] | NoExtents> =>
    new MemberReader(anywhere()).memberExtents({ archive, name: Buffer.from(name), size: DATA.length });

  const read = (extents: readonly MemberExtent[] | NoExtents): Buffer => {
    assert.ok(!('refused' in extents), JSON.stringify(extents));
    let end = 0;
    const parts = extents.map(({ source, sourceOffset, offset, length }) => {
      assert.equal(offset, end);
      end += length;
      const fd = openSync(source.path, 'r');
      const part = Buffer.alloc(length);
      assert.equal(readSync(fd, part, 0, length, sourceOffset), length);
      closeSync(fd);
      return part;
    });
    return Buffer.concat(parts);
  };

  it('lie in the volumes, whichever way these are named', async () => {
    for (const write of [writeRar4, writeRar5]) {
      for (const style of ['old', 'part'] as const) {
        const volumes = write([{ name: 'a.bin', data: DATA }], { volumeBytes: 4000, newNumbering: style === 'part' });
        const archive = put(volumeNames(`sample-${write.name}`, volumes.length, style), volumes);
        assert.deepEqual(read(await ask(archive)), DATA);
      }
    }
  });

  it('lie in volumes whose names are not UTF-8', async () => {
    const volumes = writeRar5([{ name: 'a.bin', data: DATA }], { volumeBytes: 20_000 });
    for (const [i, volume] of volumes.entries()) {
      writeFileSync(
        Buffer.concat([Buffer.from(`${folder}/caf`), Buffer.from([0xe9]), Buffer.from(`.part${i + 1}.rar`)]),
        volume,
      );
    }
    const archive = Buffer.concat([Buffer.from(`${folder}/caf`), Buffer.from([0xe9]), Buffer.from('.part1.rar')]);
    assert.deepEqual(read(await ask(archive)), DATA);
  });

  it('lie in a ZIP', async () => {
    const path = join(folder, 'x.zip');
    writeFileSync(join(folder, 'a.bin'), DATA);
    execFileSync('/usr/bin/python3', [
      '-c',
      "import sys, zipfile; zipfile.ZipFile(sys.argv[1], 'w').write(sys.argv[2], 'a.bin')",
      path,
      join(folder, 'a.bin'),
    ]);
    assert.deepEqual(read(await ask(Buffer.from(path))), DATA);
  });

  it('are not there, with the reason', async () => {
    const volumes = writeRar4([{ name: 'a.bin', data: DATA }], { volumeBytes: 20_000 });
    const names = volumeNames('x', volumes.length, 'old');
    const archive = put(names, volumes);
    const refusal = async (name?: string): Promise<string> => {
      const extents = await ask(archive, name);
      return 'refused' in extents ? extents.refused : 'found';
    };
    assert.equal(await refusal('b.bin'), 'does not hold it any more');
    truncateSync(join(folder, names[1] ?? ''), 10_000);
    assert.equal(await refusal(), 'is damaged');
    rmSync(join(folder, names[1] ?? ''));
    assert.equal(await refusal(), 'lacks a volume with a part of it');
    symlinkSync(archive, join(folder, names[1] ?? ''));
    assert.equal(await refusal(), 'lacks a volume with a part of it');
    put([names[0] ?? ''], writeRar4([{ name: 'a.bin', data: DATA, compressed: true }]));
    assert.equal(await refusal(), 'holds it compressed');
    put([names[0] ?? ''], [Buffer.alloc(5000)]);
    assert.equal(await refusal(), 'does not hold it any more');
    rmSync(archive);
    mkdirSync(archive);
    assert.equal(await refusal(), 'does not hold it any more');
    rmSync(archive, { recursive: true });
    assert.equal(await refusal(), 'does not hold it any more');
  });
});
