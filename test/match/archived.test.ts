import assert from 'node:assert/strict';
import { closeSync, mkdirSync, openSync, readSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { openIndex } from '../../src/collection/open-index.ts';
import { ArchivedCandidates, type ArchivedPart } from '../../src/match/archived.ts';
import { Looker, type Refusal } from '../../src/match/look.ts';
import { TempIndex } from '../collection/temp-index.ts';
import { volumeNames, writeRar4, writeRar5 } from '../container/rar-writer.ts';

const FILM = Buffer.from(Uint8Array.from({ length: 60_000 }, (_, i) => (i * 7919) >>> 5));

describe('a file inside an archive', () => {
  let index: TempIndex;
  beforeEach(() => {
    index = new TempIndex();
  });
  afterEach(() => index.remove());

  const putSet = (folder: string, name: string, data: Buffer, write = writeRar4): void => {
    const volumes = write([{ name, data }], { volumeBytes: 9000 });
    const names = volumeNames('x', volumes.length, 'old');
    mkdirSync(join(index.disk, folder));
    for (const [i, volume] of volumes.entries()) writeFileSync(join(index.disk, folder, names[i] ?? ''), volume);
  };
  const candidates = async (refuseDevice = (): boolean => false): Promise<ArchivedCandidates> =>
    new ArchivedCandidates(await openIndex(index.db), new Looker(refuseDevice));

  const read = (parts: readonly ArchivedPart[] | Refusal): Buffer => {
    assert.ok(!('refused' in parts), JSON.stringify(parts));
    return Buffer.concat(
      parts.map(({ source, offset, length, shift }) => {
        const fd = openSync(source.path, 'r');
        const part = Buffer.alloc(length);
        readSync(fd, part, 0, length, offset + shift);
        closeSync(fd);
        return part;
      }),
    );
  };

  it('has the bytes of the extracted one, the one of its name first', async () => {
    putSet('a', 'other.mkv', Buffer.alloc(60_000));
    putSet('b', 'The.Film.mkv', FILM, writeRar5);
    await index.rebuild();
    const archived = await candidates();
    const files = [
      { name: 'the film.mkv', size: 60_000 },
      { name: 'none', size: 7 },
    ];
    const [found = [], none] = await archived.find(files, 10);
    assert.deepEqual(
      found.map(({ name }) => name.toString()),
      ['The.Film.mkv', 'other.mkv'],
    );
    assert.deepEqual(none, []);
    assert.equal((await archived.find(files, 1))[0]?.length, 1);
    const [film, other] = found;
    assert.ok(film !== undefined && other !== undefined);
    assert.deepEqual(read(await archived.partsOf(film)), FILM);
    assert.deepEqual(read(await archived.partsOf(other)), Buffer.alloc(60_000));
  });

  it('is refused where a volume changed or lies on our own mount', async () => {
    putSet('b', 'The.Film.mkv', FILM);
    await index.rebuild();
    const [[film] = []] = await (await candidates()).find([{ name: 'the film.mkv', size: 60_000 }], 1);
    assert.ok(film !== undefined);
    assert.deepEqual(await (await candidates(() => true)).partsOf(film), {
      refused: 'lies on a mount of autotorrent itself',
    });
    truncateSync(join(index.disk, 'b/x.r03'), 100);
    assert.deepEqual(await (await candidates()).partsOf(film), { refused: 'is damaged' });
    truncateSync(join(index.disk, 'b/x.rar'), 100);
    assert.deepEqual(await (await candidates()).partsOf(film), { refused: 'has 100 bytes now, not 9000' });
  });
});
