import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { GAP, OVERLAY } from '../../src/extent/extent.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { identityAt } from '../harness/plans.ts';
import { NaiveIndex } from '../match/naive-index.ts';
import { caseOf, healBench, indexOf, mappedBytes, PLAIN, sameOf, type World, worldOf } from './bench.ts';

const PIECE = 16_384;
const PIECES = 61;

describe('settling', () => {
  const base = temporaryFolder('heal');
  const { settle, settler } = healBench();
  let count = 0;

  /** One film of 61 pieces. */
  function film(name = 'film.mkv'): { disk: string; path: string; data: Buffer; world: World } {
    const disk = join(base, String(count++));
    const path = join(disk, 'films', 'A', name);
    mkdirSync(dirname(path), { recursive: true });
    const data = randomBytes(PIECES * PIECE);
    writeFileSync(path, data);
    utimesSync(path, 1_600_000_000, 1_600_000_000.123);
    return { disk, path, data, world: worldOf({ files: [{ name, data, path }] }) };
  }

  it('trusts a file again that is as it was recorded', async () => {
    const { path, world } = film();
    const found = sameOf(await settle(world, caseOf(world, 1)));
    assert.deepEqual([found.path, found.trusted], [path, true]);
  });

  it('finds a file that was renamed in its folder, without an index, and doubts it for its ctime', async () => {
    const { path, world } = film();
    const to = join(dirname(path), 'The Film (2020).mkv');
    renameSync(path, to);
    const found = sameOf(await settle(world, caseOf(world, 1)));
    assert.deepEqual([found.path, found.trusted], [to, false]);
  });

  it('trusts the files of a folder that was renamed', async () => {
    const { path, disk, world } = film();
    renameSync(join(disk, 'films', 'A'), join(disk, 'films', 'B'));
    const found = sameOf(await settle(world, caseOf(world, 1)));
    assert.deepEqual([found.path, found.trusted], [path.replace('/A/', '/B/'), true]);
  });

  it('finds a file whose folder above was renamed, and one that was moved into a folder beside it', async () => {
    const one = film();
    renameSync(join(one.disk, 'films'), join(one.disk, 'movies'));
    assert.equal(sameOf(await settle(one.world, caseOf(one.world, 1))).path, one.path.replace('/films/', '/movies/'));
    const two = film();
    mkdirSync(join(two.disk, 'films', 'seen'));
    renameSync(join(two.disk, 'films', 'A'), join(two.disk, 'films', 'seen', 'A'));
    assert.equal(sameOf(await settle(two.world, caseOf(two.world, 1))).path, two.path.replace('/A/', '/seen/A/'));
  });

  it('finds a file that was renamed into new folders, near the old one, without an index', async () => {
    for (const to of [['A', 'new'], ['A', 'new', 'and', 'deep'], ['B'], ['B', 'Season 1']]) {
      const { path, disk, world } = film();
      const folder = join(disk, 'films', ...to);
      mkdirSync(folder, { recursive: true });
      renameSync(path, join(folder, 'new name.mkv'));
      assert.equal(sameOf(await settle(world, caseOf(world, 1))).path, join(folder, 'new name.mkv'));
    }
  });

  it('finds a folder that was moved far away under another name, without handle and index', async () => {
    const { disk, path, world } = film();
    const to = join(disk, 'archive', 'by year', '2020', 'The Film');
    mkdirSync(dirname(to), { recursive: true });
    renameSync(dirname(path), to);
    const one = caseOf(world, 1, { sinceMs: Date.now() });
    const found = sameOf(await settle(world, one, { now: () => Date.now(), rules: { disks: [disk] } }));
    assert.equal(found.path, join(to, 'film.mkv'));
    assert.match(found.how, /by a search of the disks/);
  });

  it('finds a file by its handle, wherever it went, and compares it', async () => {
    const { path, disk, world } = film();
    const to = join(disk, 'far', 'away', 'other name');
    mkdirSync(dirname(to), { recursive: true });
    renameSync(path, to);
    const disks = {
      ...PLAIN,
      disksMounted: () => Promise.resolve(new Map([['mount:test:test', [Buffer.from(disk)]]])),
    };
    const one = caseOf(world, 1);
    const handle = { type: 1, bytes: Buffer.from('handle') };
    const asked = { ...one, record: { ...one.record, handle } };
    const found = sameOf(
      await settle(world, asked, { disks: { ...disks, pathOfHandle: () => Promise.resolve(Buffer.from(to)) } }),
    );
    assert.equal(found.path, to);
    // A handle that names another file: what it proposes is not believed.
    const wrong = join(disk, 'wrong');
    writeFileSync(wrong, randomBytes(statSync(to).size));
    const [outcome] = await settle(world, asked, {
      disks: { ...disks, pathOfHandle: () => Promise.resolve(Buffer.from(wrong)) },
      rules: { disks: [disk] },
    });
    assert.equal(outcome?.kind, 'lost');
  });

  it('finds a file on another disk by the index, by its time, and by a copy that has other times', async () => {
    for (const keepsTimes of [true, false]) {
      const { path, data, world } = film();
      const other = join(base, `other ${count}`);
      const to = join(other, 'x', 'y', 'another name.mkv');
      mkdirSync(dirname(to), { recursive: true });
      writeFileSync(to, data);
      if (keepsTimes) utimesSync(to, 1_600_000_000, 1_600_000_000.123);
      rmSync(path);
      const found = sameOf(await settle(world, caseOf(world, 1), indexOf(new NaiveIndex(other))));
      assert.deepEqual([found.path, found.trusted], [to, false]);
    }
  });

  it('finds a file at the same place of another disk, and in a folder there under another name', async () => {
    for (const name of ['film.mkv', 'new name.mkv']) {
      const { path, disk, data, world } = film();
      const other = join(base, `second ${count}`);
      const to = join(other, 'films', 'A', name);
      mkdirSync(dirname(to), { recursive: true });
      writeFileSync(to, data);
      utimesSync(to, 1_600_000_000, 1_600_000_000.123);
      rmSync(path);
      assert.equal(sameOf(await settle(world, caseOf(world, 1), { rules: { disks: [disk, other] } })).path, to);
    }
  });

  it('takes no file of the same name, size and time that has other bytes', async () => {
    const { path, disk, world } = film();
    const other = join(base, `forged ${count}`);
    const to = join(other, 'film.mkv');
    mkdirSync(other, { recursive: true });
    writeFileSync(to, randomBytes(PIECES * PIECE));
    utimesSync(to, 1_600_000_000, 1_600_000_000.123);
    rmSync(path);
    const rules = { disks: [disk, other] };
    const [outcome, more] = await settle(world, caseOf(world, 1), { rules, ...indexOf(new NaiveIndex(other)) });
    assert.deepEqual([outcome?.kind, more], ['lost', undefined]);
  });

  it('does not leave the disks, not by a link either', async () => {
    const { path, disk, data, world } = film();
    const outside = join(base, `outside ${count}`);
    mkdirSync(outside);
    writeFileSync(join(outside, 'film.mkv'), data);
    utimesSync(join(outside, 'film.mkv'), 1_600_000_000, 1_600_000_000.123);
    rmSync(path);
    symlinkSync(join(outside, 'film.mkv'), path);
    symlinkSync(outside, join(disk, 'films', 'B'));
    const rules = { disks: [disk] };
    const [outcome] = await settle(world, caseOf(world, 1), { rules, ...indexOf(new NaiveIndex(outside)) });
    assert.equal(outcome?.kind, 'lost');
  });

  it('maps a touched file again, and one that a backup replaced, doubted', async () => {
    const touched = film();
    utimesSync(touched.path, 1_700_000_000, 1_700_000_000);
    const found = sameOf(await settle(touched.world, caseOf(touched.world, 1, { state: 'doubted' })));
    assert.deepEqual(
      [found.path, found.trusted, found.how],
      [touched.path, false, 'was touched: 5 of its pieces agree'],
    );
    assert.equal(found.now.mtimeNs, identityAt(touched.path).mtimeNs);
    const restored = film();
    writeFileSync(`${restored.path}.new`, restored.data);
    renameSync(`${restored.path}.new`, restored.path);
    assert.deepEqual(sameOf(await settle(restored.world, caseOf(restored.world, 1))).trusted, false);
  });

  const tagged: readonly [string, (path: string, data: Buffer) => void, pieces: number][] = [
    [
      're-tagged in place',
      (path, data) => writeFileSync(path, Buffer.concat([randomBytes(333), data.subarray(100)])),
      60,
    ],
    ['with bytes appended', (path) => appendFileSync(path, randomBytes(128)), 61],
    ['overwritten in the middle', (path, data) => writeFileSync(path, overwritten(data, 500_000, 100)), 60],
    ['cut in the middle', (path) => truncateSync(path, 30 * PIECE + 100), 30],
  ];
  for (const [what, change, pieces] of tagged) {
    it(`maps what fits of a file ${what}`, async () => {
      const { path, data, world } = film();
      change(path, data);
      const outcomes = await settle(world, caseOf(world, 1, { state: 'doubted', reason: 'was modified' }));
      const { right, wrong } = mappedBytes(outcomes, 0, data);
      assert.equal(wrong, 0);
      assert.equal(right, pieces * PIECE);
      const proven = outcomes.flatMap((one) => (one.kind === 'remap' ? one.proven : []));
      assert.equal(proven.length, pieces);
      assert.equal(
        outcomes.some(({ kind }) => kind === 'lost'),
        pieces < PIECES,
      );
    });
  }

  it('maps a file that was tagged and moved', async () => {
    const { path, disk, data, world } = film();
    writeFileSync(path, Buffer.concat([randomBytes(333), data.subarray(100)]));
    const to = join(disk, 'elsewhere');
    renameSync(path, to);
    const one = caseOf(world, 1);
    const handle = { type: 1, bytes: Buffer.from('handle') };
    const outcomes = await settle(
      world,
      { ...one, record: { ...one.record, handle } },
      {
        disks: {
          ...PLAIN,
          placeOf: () => ({ handle, disk: 'mount:test:test' }),
          pathOfHandle: () => Promise.resolve(Buffer.from(to)),
          disksMounted: () => Promise.resolve(new Map([['mount:test:test', [Buffer.from(disk)]]])),
        },
        rules: { disks: [disk] },
      },
    );
    assert.deepEqual(mappedBytes(outcomes, 0, data), { right: 60 * PIECE, wrong: 0 });
  });

  it('takes the rest of a changed file from another copy', async () => {
    const { path, disk, data, world } = film();
    writeFileSync(path, overwritten(data, 500_000, 100));
    const copy = join(disk, 'copies', 'film.mkv');
    mkdirSync(dirname(copy));
    writeFileSync(copy, Buffer.concat([randomBytes(512), data.subarray(0, 45 * PIECE)]));
    const outcomes = await settle(world, caseOf(world, 1), {
      ...indexOf(new NaiveIndex(disk)),
      sizeVarying: 50,
    });
    assert.deepEqual(mappedBytes(outcomes, 0, data), { right: PIECES * PIECE, wrong: 0 });
    assert.ok(outcomes.every(({ kind }) => kind === 'remap'));
  });

  it('never maps a file again of which a piece failed, but by its good pieces', async () => {
    const { path, data, world } = film();
    // The bit rotted before the record was made.
    writeFileSync(path, overwritten(data, 500_000, 1));
    const record = { path: Buffer.from(path), ...identityAt(path), disk: 'mount:test:test' };
    const rotten: World = {
      ...world,
      records: new Map([[1, record]]),
      entry: { ...world.entry, sources: new Map([[1, record]]) },
    };
    // Also when a case that was settled is looked at again.
    for (const state of ['healing', 'lost'] as const) {
      const one = caseOf(rotten, 1, {
        state,
        reason: 'does not have the bytes of piece 30',
        failed: true,
        observed: identityAt(path),
      });
      const outcomes = await settle(rotten, one);
      assert.deepEqual(mappedBytes(outcomes, 0, data), { right: 60 * PIECE, wrong: 0 });
      const [remap, same] = outcomes;
      assert.ok(remap?.kind === 'remap' && same?.kind === 'same');
      assert.equal(same.trusted, false);
      const lost = remap.ranges.filter(({ source }) => remap.sources[source]?.ctimeNs === 0n);
      assert.deepEqual(lost, [{ offset: 30 * PIECE, length: PIECE, source: 1, sourceOffset: 30 * PIECE }]);
    }
    // Nor where `relocate` names it.
    const moved = Buffer.from(join(dirname(path), 'moved.mkv'));
    renameSync(path, moved);
    const now = identityAt(moved.toString());
    const one = { ...caseOf(rotten, 1, { failed: true, observed: now }), record: { ...record, ...now } };
    assert.equal(await settler(rotten).at(one, [rotten.entry.infoHash], moved), 'pieces-failed');
  });

  it('says why nothing of a file is proven', async () => {
    const { path, data, world } = film();
    const other = Buffer.from(data);
    writeFileSync(`${path}.new`, other);
    renameSync(`${path}.new`, path);
    // After a repair: the entry does not use it any more.
    const unused = await settler(world).settle(caseOf(world, 1), []);
    assert.ok(!('work' in unused));
    assert.match(sameOf(unused).how, /: no torrent has bytes of it any more$/);
    // A file that has a part of a piece only.
    const [file] = world.entry.files.values();
    assert.ok(file !== undefined);
    const part = { offset: 0, length: PIECE / 2, source: 1, sourceOffset: 0 };
    const gap = { offset: PIECE / 2, length: data.length - PIECE / 2, source: GAP, sourceOffset: 0 };
    const partly: World = {
      ...world,
      entry: { ...world.entry, files: new Map([[0, { ...file, extents: [part, gap] }]]) },
    };
    const { how } = sameOf(await settle(partly, caseOf(partly, 1)));
    assert.match(how, /: it is hashed once that is possible, since each of its pieces has bytes that are missing$/);
  });

  it('finds both of two files that swapped their names', async () => {
    const disk = join(base, String(count++));
    mkdirSync(disk);
    const files = ['a', 'b'].map((name) => {
      const data = randomBytes(20 * PIECE);
      const path = join(disk, name);
      writeFileSync(path, data);
      return { name, data, path };
    });
    const world = worldOf({ files });
    const [a = '', b = ''] = files.map(({ path }) => path);
    renameSync(a, `${a}.tmp`);
    renameSync(b, a);
    renameSync(`${a}.tmp`, b);
    assert.equal(sameOf(await settle(world, caseOf(world, 1))).path, b);
    assert.equal(sameOf(await settle(world, caseOf(world, 2))).path, a);
  });

  it('waits for a copy that still grows', async () => {
    const { path, disk, data, world } = film();
    const to = join(disk, 'films', 'B', 'film.mkv');
    mkdirSync(dirname(to));
    rmSync(path);
    writeFileSync(to, data.subarray(0, 20 * PIECE));
    const now = (): number => Date.now();
    assert.equal((await settle(world, caseOf(world, 1), { now }))[0]?.kind, 'later');
    writeFileSync(to, data);
    assert.equal(sameOf(await settle(world, caseOf(world, 1), { now })).path, to);
  });

  it('does not judge a file that is being written', async () => {
    const { path, data, world } = film();
    writeFileSync(path, data.subarray(0, 1000));
    const [outcome] = await settle(world, caseOf(world, 1), { now: () => Date.now() });
    assert.equal(outcome?.kind, 'later');
  });

  it('takes a second hard link, a spare and a copy for a file that was deleted', async () => {
    const linked = film();
    linkSync(linked.path, join(linked.disk, 'films', 'link'));
    rmSync(linked.path);
    const link = join(linked.disk, 'films', 'link');
    // A reader who had it open has seen its new ctime.
    const seen = { reason: 'was deleted', observed: identityAt(link) };
    for (const more of [{}, seen]) {
      assert.equal(sameOf(await settle(linked.world, caseOf(linked.world, 1, more))).path, link);
    }
    const spared = film();
    const spare = join(base, `spare ${count}`, 'x', 'y', 'z');
    mkdirSync(dirname(spare), { recursive: true });
    copyFileSync(spared.path, spare);
    rmSync(spared.path);
    const spares = [{ path: Buffer.from(spare), ...identityAt(spare) }];
    const found = sameOf(
      await settle(spared.world, caseOf(spared.world, 1, { spares }), {
        rules: { disks: [spared.disk, join(base, `spare ${count}`)] },
      }),
    );
    assert.deepEqual([found.path, found.trusted], [spare, true]);
  });

  it('lets a source wait whose disk is not mounted, until it is given up', async () => {
    const { path, disk, world } = film();
    const record = { ...caseOf(world, 1).record, disk: 'uuid:away' };
    renameSync(disk, `${disk} away`);
    const one = { ...caseOf(world, 1), record };
    const rules = { disks: [disk] };
    const [outcome] = await settle(world, one, { rules });
    assert.deepEqual(outcome, {
      kind: 'waiting',
      id: 1,
      reason: 'is on a disk that is not mounted',
      disk: 'uuid:away',
    });
    assert.equal((await settle(world, { ...one, givenUp: true }, { rules }))[0]?.kind, 'lost');
    renameSync(`${disk} away`, disk);
    assert.equal(sameOf(await settle(world, one, { rules })).path, path);
  });

  it('finds the files of a disk that is mounted elsewhere', async () => {
    const { path, disk, world } = film();
    renameSync(disk, `${disk} elsewhere`);
    const disksMounted = () => Promise.resolve(new Map([['mount:test:test', [Buffer.from(`${disk} elsewhere`)]]]));
    const rules = { disks: [disk, `${disk} elsewhere`] };
    const found = sameOf(await settle(world, caseOf(world, 1), { rules, disks: { ...PLAIN, disksMounted } }));
    assert.deepEqual([found.path, found.trusted], [path.replace(disk, `${disk} elsewhere`), true]);
  });

  it('lets all wait when many are gone and nobody was seen to delete them', async () => {
    const disk = join(base, String(count++));
    mkdirSync(disk);
    const files = Array.from({ length: 100 }, (_, i) => {
      const data = randomBytes(PIECE);
      const path = join(disk, `file ${i}`);
      writeFileSync(path, data);
      return { name: `file ${i}`, data, path };
    });
    const world = worldOf({ files });
    const rules = { disks: [disk] };
    rmSync(join(disk, 'file 0'));
    assert.equal((await settle(world, caseOf(world, 1), { rules }))[0]?.kind, 'lost');
    for (let i = 1; i < 30; i++) rmSync(join(disk, `file ${i}`));
    assert.equal((await settle(world, caseOf(world, 2), { rules }))[0]?.kind, 'waiting');
    assert.equal((await settle(world, caseOf(world, 2, { seenDeleted: true }), { rules }))[0]?.kind, 'lost');
    assert.equal((await settle(world, caseOf(world, 2, { givenUp: true }), { rules }))[0]?.kind, 'lost');
  });

  it('does not give a file up that is gone since a moment', async () => {
    const { path, disk, world } = film();
    rmSync(path);
    const one = caseOf(world, 1, { sinceMs: Date.now() });
    const now = (): number => Date.now();
    assert.equal((await settle(world, one, { now, rules: { disks: [disk] } }))[0]?.kind, 'later');
  });

  it('maps small files that share all their pieces', async () => {
    const disk = join(base, String(count++));
    mkdirSync(disk);
    const files = Array.from({ length: 9 }, (_, i) => {
      const data = randomBytes(3000);
      const path = join(disk, `track ${i}`);
      writeFileSync(path, data);
      return { name: `track ${i}`, data, path };
    });
    const world = worldOf({ files });
    const middle = files[4];
    assert.ok(middle);
    writeFileSync(middle.path, Buffer.concat([randomBytes(50), middle.data]));
    const outcomes = await settle(world, caseOf(world, 5));
    assert.deepEqual(mappedBytes(outcomes, 4, middle.data), { right: 3000, wrong: 0 });
  });

  it('finds the bytes of gaps when their files are there again, below what a client has written', async () => {
    const { disk, data, world } = film();
    // The first half is mapped, the rest is a gap, of which a client has written a piece.
    const [half, written] = [30 * PIECE, 40 * PIECE];
    const extents = [
      { offset: 0, length: half, source: 1, sourceOffset: 0 },
      { offset: half, length: written - half, source: GAP, sourceOffset: 0 },
      { offset: written, length: PIECE, source: OVERLAY, sourceOffset: written },
      { offset: written + PIECE, length: data.length - written - PIECE, source: GAP, sourceOffset: 0 },
    ];
    const overlay = join(base, `overlay ${count}`);
    writeFileSync(overlay, overwritten(data, 0, data.length));
    const file = { index: 0, version: 1, extents, overlay: Buffer.from(overlay) };
    const partly = { ...world, entry: { ...world.entry, files: new Map([[0, file]]) } };
    const [found, ...more] = await settler(partly).fillGaps(world.entry.infoHash);
    assert.ok(found !== undefined && more.length === 0);
    assert.deepEqual(mappedBytes([found], 0, data), { right: 30 * PIECE, wrong: 0 });
    assert.deepEqual([found.id, found.proven.includes(40)], [GAP, false]);
    assert.ok(
      found.ranges.every(({ offset, length }) => offset >= half && (offset + length <= written || offset > written)),
    );

    // All of it is a gap: its name and size lead to it.
    const none = { index: 0, version: 1, extents: [{ offset: 0, length: data.length, source: GAP, sourceOffset: 0 }] };
    const nothing = { ...world, entry: { ...world.entry, files: new Map([[0, none]]) } };
    assert.deepEqual(await settler(nothing).fillGaps(world.entry.infoHash), []);
    const named = await settler(nothing, indexOf(new NaiveIndex(disk))).fillGaps(world.entry.infoHash);
    assert.deepEqual(mappedBytes(named, 0, data), { right: data.length, wrong: 0 });
  });

  it('tries where the first of a folder went for its siblings, without asking the index again', async () => {
    const disk = join(base, String(count++));
    mkdirSync(join(disk, 'old'), { recursive: true });
    const files = Array.from({ length: 300 }, (_, i) => {
      const data = randomBytes(PIECE);
      const path = join(disk, 'old', `file ${i}`);
      writeFileSync(path, data);
      return { name: `file ${i}`, data, path };
    });
    const world = worldOf({ files });
    mkdirSync(join(disk, 'x', 'y'), { recursive: true });
    renameSync(join(disk, 'old'), join(disk, 'x', 'y', 'new'));
    const index = new NaiveIndex(disk);
    const one = settler(world, indexOf(index));
    for (const id of world.records.keys()) {
      const outcomes = await one.settle(caseOf(world, id), [world.entry.infoHash]);
      assert.ok(!('work' in outcomes));
      assert.equal(sameOf(outcomes).path, join(disk, 'x', 'y', 'new', `file ${id - 1}`));
    }
    assert.ok(index.calls.length <= 2);
  });
});

function overwritten(data: Buffer, at: number, length: number): Buffer {
  const copy = Buffer.from(data);
  for (let i = at; i < at + length; i++) copy[i] = (copy[i] ?? 0) ^ 0xff;
  return copy;
}
