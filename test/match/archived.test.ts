import assert from 'node:assert/strict';
import {
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, beforeEach, describe, it } from 'node:test';
import { openIndex } from '../../src/collection/level/open-index.ts';
import { createHashPool } from '../../src/hash/piscina-pool.ts';
import { silentLogger } from '../../src/logger.ts';
import { ArchivedCandidates } from '../../src/match/archived.ts';
import { Looker, type Refusal } from '../../src/match/look.ts';
import type { TorrentMatch, VerifyLevel } from '../../src/match/match.ts';
import { matchTorrents } from '../../src/match/match-torrents.ts';
import type { Part } from '../../src/match/parts.ts';
import type { Metainfo } from '../../src/metainfo/metainfo.ts';
import { decodePlan, encodePlan } from '../../src/plan/codec.ts';
import { makePlan } from '../../src/plan/make-plan.ts';
import { TempIndex } from '../collection/level/temp-index.ts';
import { volumeNames, writeRar4, writeRar5 } from '../container/rar-writer.ts';
import { ANYWHERE, anywhere } from '../harness/anywhere.ts';
import { ownMountOn } from '../source/own-mount.ts';
import { content, PIECE, torrent } from './fixtures.ts';

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
  const candidates = async (access = anywhere()): Promise<ArchivedCandidates> =>
    new ArchivedCandidates(await openIndex(index.db), new Looker(access));

  const read = (parts: readonly Part[] | Refusal): Buffer => {
    assert.ok(!('refused' in parts), 'refused' in parts ? parts.refused : '');
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
    assert.deepEqual(
      await (await candidates(anywhere({ ownMounts: ownMountOn(lstatSync(index.disk).dev) }))).partsOf(film),
      {
        refused: 'lies on a mount of autotorrent itself',
        code: 'own-mount',
      },
    );
    truncateSync(join(index.disk, 'b/x.r03'), 100);
    assert.deepEqual(await (await candidates()).partsOf(film), { refused: 'is damaged' });
    truncateSync(join(index.disk, 'b/x.rar'), 100);
    assert.deepEqual(await (await candidates()).partsOf(film), {
      refused: 'has 100 bytes now, not 9000',
      code: 'size',
    });
  });

  const pool = createHashPool({ sources: ANYWHERE, threads: 1 });
  after(() => pool.close());
  const match = async (metainfo: Metainfo, verify: VerifyLevel = 'probe'): Promise<TorrentMatch> => {
    const [found] = await matchTorrents([{ name: 't', metainfo }], {
      index: await openIndex(index.db),
      pool,
      options: { scanModes: ['exact', 'unsplitable', 'normal'], verify },
      logger: silentLogger,
      access: anywhere(),
    });
    assert.ok(found !== undefined);
    return found;
  };
  const readBack = ({ files, sources }: TorrentMatch): Buffer =>
    Buffer.concat(
      files.flatMap(({ extents }) =>
        extents.map(({ source, sourceOffset, length }) => {
          const part = Buffer.alloc(length);
          const path = sources[source]?.path;
          if (path === undefined) return part;
          const fd = openSync(path, 'r');
          readSync(fd, part, 0, length, sourceOffset);
          closeSync(fd);
          return part;
        }),
      ),
    );

  it('supplies a torrent of the extracted one, all of it hashed', async () => {
    putSet('packed', 'The.Film.mkv', content('film', 200_000));
    await index.rebuild();
    for (const verify of ['probe', 'full'] as const) {
      const found = await match(torrent('The Film.mkv', content('film', 200_000)), verify);
      assert.equal(found.missingBytes, 0);
      assert.equal(found.files[0]?.mode, 'archive');
      assert.equal(found.verifiedPieces, found.metainfo.pieceCount);
      assert.deepEqual(readBack(found), content('film', 200_000));
      assert.ok(found.sources.length > 20);
      assert.deepEqual(decodePlan(encodePlan(makePlan(found, 0))).files, makePlan(found, 0).files);
    }
  });

  it('supplies files that only their neighbours can prove', async () => {
    const files = {
      'film.nfo': content('nfo', 700),
      'film.mkv': content('film', 200_000),
      'film.srt': content('srt', 900),
    };
    const members = Object.entries(files).map(([name, data]) => ({ name: `Film/${name}`, data }));
    mkdirSync(join(index.disk, 'packed'));
    writeFileSync(join(index.disk, 'packed/film.rar'), writeRar5(members)[0] ?? '');
    await index.rebuild();
    const found = await match(torrent('Film', files));
    assert.equal(found.missingBytes, 0);
    assert.equal(found.verifiedPieces, found.metainfo.pieceCount);
    assert.deepEqual(readBack(found), Buffer.concat(Object.values(files)));
  });

  it('is not believed where its bytes are others, and the next is tried', async () => {
    putSet('a', 'film.mkv', content('other', 200_000));
    await index.rebuild();
    const film = torrent('film.mkv', content('film', 200_000));
    const wrong = await match(film);
    assert.deepEqual([wrong.missingBytes, wrong.files[0]?.code], [200_000, 'hash-mismatch']);
    putSet('b', 'renamed.mkv', content('film', 200_000), writeRar5);
    await index.rebuild();
    assert.equal((await match(film)).missingBytes, 0);
    assert.equal((await match(film, 'none')).missingBytes, 200_000); // nothing is hashed, so nothing is believed
  });

  it('with a damaged volume supplies what is left', async () => {
    putSet('a', 'film.mkv', content('film', 400_000));
    await index.rebuild();
    const path = join(index.disk, 'a/x.r05');
    const volume = readFileSync(path);
    volume.fill(0, 3000, 3010);
    writeFileSync(path, volume);
    const found = await match(torrent('film.mkv', content('film', 400_000)));
    assert.equal(found.files[0]?.status, 'partial');
    assert.equal(found.missingBytes, PIECE);
  });

  it('changes nothing for a torrent that wants the archive itself', async () => {
    const volumes = writeRar4([{ name: 'film.mkv', data: content('film', 60_000) }], { volumeBytes: 9000 });
    const names = volumeNames('x', volumes.length, 'old');
    const files = Object.fromEntries(volumes.map((volume, i) => [names[i] ?? '', volume]));
    mkdirSync(join(index.disk, 'Film-GRP'));
    for (const [name, volume] of Object.entries(files)) writeFileSync(join(index.disk, 'Film-GRP', name), volume);
    await index.rebuild();
    const found = await match(torrent('Film-GRP', files));
    assert.deepEqual([found.missingBytes, found.files.every(({ mode }) => mode === 'exact')], [0, true]);
  });
});
