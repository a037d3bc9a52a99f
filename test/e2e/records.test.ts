/** What a store records of a source: by `add`, and of a record that an older version has made. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { millisecondsOf } from '../../src/native/timestamp.ts';
import { SOURCES, sourceKey, VERSION_KEY } from '../../src/store/records/key.ts';
import { decodeSource, type SourceRecord, Writer } from '../../src/store/records/record.ts';
import { anywhere } from '../harness/anywhere.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';
import { identityAt } from '../harness/plans.ts';
import { openLevel } from '../harness/volume.ts';

const DATA = Buffer.from(Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7919) >>> 5));
const TIME = 1_600_000_000.123456;

let folder: string;
let film: string;
let autotorrent: Autotorrent;
const undo: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  folder = temporaryFolder('records');
  film = join(folder, 'disk', 'film.bin');
  mkdirSync(join(folder, 'disk'));
  writeFileSync(film, DATA);
  utimesSync(film, TIME, TIME);
  autotorrent = await autotorrentIn({ folder, disks: [join(folder, 'disk')] });
});
afterEach(async () => {
  for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
});

async function served(work: () => Promise<void>): Promise<void> {
  const server = await autotorrent.mount();
  undo.push(async () => await server.stop());
  await work();
  await server.stop();
}

/** The only record of a source, and what `change` makes of it. */
async function recorded(change?: (record: SourceRecord) => Buffer): Promise<SourceRecord> {
  const level = await openLevel(autotorrent.statePath);
  try {
    const [[key, value] = [], ...others] = await level.iterator(SOURCES).all();
    assert.ok(key !== undefined && value !== undefined && others.length === 0);
    assert.deepEqual(key.subarray(0, 1), sourceKey(0).subarray(0, 1));
    const record = decodeSource(value);
    if (change !== undefined) {
      await level.put(key, change(record));
      await level.put(VERSION_KEY, new Writer().integer(3).finish());
    }
    return record;
  } finally {
    await level.close();
  }
}

it('has the ctime, the handle and the disk of each source, also where an older version has recorded it', async () => {
  const torrent = join(folder, 'film.torrent');
  writeFileSync(torrent, makeTorrent({ name: 'film.bin', content: DATA }).raw);
  const shown = join(autotorrent.storePath, 'film', 'film.bin');
  await served(async () => {
    assert.equal((await autotorrent.run('rebuild')).code, 0);
    const added = await autotorrent.run('add', torrent);
    assert.equal(added.code, 0, added.stdout + added.stderr);
  });
  const identity = identityAt(film);
  const place = anywhere().placing.placeOf(Buffer.from(film), identity.dev);
  const whole = { path: Buffer.from(film), ...identity, ...place, spares: [] };
  assert.notEqual(place.disk, undefined);
  const made = await recorded(({ path, dev, ino, size, mtimeNs }) =>
    new Writer().bytes(path).double(dev).double(Number(ino)).integer(size).double(millisecondsOf(mtimeNs)).finish(),
  );
  assert.deepEqual(made, whole);
  assert.equal((await recorded()).ctimeNs, undefined);
  await served(async () => {
    assert.ok((await readFile(shown)).equals(DATA));
    await sleep(2500);
    assert.ok((await readFile(shown)).equals(DATA));
  });
  assert.deepEqual(await recorded(), whole);
  // Nobody looks meanwhile, and the size, the mtime and the inode are as before.
  writeFileSync(film, Buffer.concat([Buffer.from('other bytes'), DATA.subarray(11)]));
  utimesSync(film, TIME, TIME);
  assert.deepEqual(
    { ...identityAt(film), ctimeNs: 0n },
    { ...identity, ctimeNs: 0n },
    'the file looks as before, but for its ctime',
  );
  await served(async () => {
    const served = await readFile(shown).catch(() => undefined);
    assert.ok(served === undefined || !served.subarray(0, 11).equals(readFileSync(film).subarray(0, 11)));
  });
});
