/**
 * Sources change, and the healer settles them: real mount, index process and healer. Most of it happens while no server runs,
 * since the watch of one that runs explains it without the healer (`test/survival/`).
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SettledJson, VerifiedJson } from '../../src/cli/json.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import type { Daemon } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrentOf } from '../harness/make-torrent.ts';
import { killProgram } from './scene.ts';
import { WHOLE } from './setting.ts';

const PIECE = 16_384;
const PIECES = 61;
/** For tests that take half a minute and more. */
const LONG = { skip: WHOLE ? false : 'only in npm run test:survival' };

interface Film {
  readonly name: string;
  readonly path: string;
  readonly data: Buffer;
}

describe('healing', { timeout: 600_000 }, () => {
  const base = temporaryFolder('healing');
  const disk = join(base, 'disk');
  const other = join(base, 'other');
  let program: Autotorrent;
  let server: Daemon;
  let count = 0;

  before(async () => {
    mkdirSync(join(disk, 'films'), { recursive: true });
    mkdirSync(other);
    program = await autotorrentIn({ folder: base, disks: [disk, other], general: ['verify = full'] });
    server = await program.mount();
  });
  after(stop);

  afterEach(async () => {
    // Sources that are gone count when others are: no test leaves any.
    for (const { name } of (await program.json('list')) as { name: string }[]) await program.run('remove', name);
    rmSync(join(disk, 'films'), { recursive: true, force: true });
    rmSync(other, { recursive: true, force: true });
    mkdirSync(join(disk, 'films'), { recursive: true });
    mkdirSync(other);
  });

  async function stop(): Promise<void> {
    await program.run('unmount');
    await server.stop();
  }

  /** Changes sources while no server runs. */
  async function unseen(change: () => void | Promise<void>): Promise<void> {
    await stop();
    await change();
    server = await program.mount();
  }

  /** Adds films of 61 pieces, which are mapped 1:1. */
  async function filmsOf(most: number): Promise<Film[]> {
    const films = Array.from({ length: most }, () => {
      const name = `film ${count++}.mkv`;
      const path = join(disk, 'films', `A ${count}`, name);
      const data = randomBytes(PIECES * PIECE);
      mkdirSync(dirname(path));
      writeFileSync(path, data);
      return { name, path, data };
    });
    await add(...films.map(({ path }) => path));
    return films;
  }

  async function film(): Promise<Film> {
    const [one] = await filmsOf(1);
    assert.ok(one);
    return one;
  }

  async function add(...paths: readonly string[]): Promise<void> {
    const torrents = paths.map((path) => {
      const torrent = join(base, `${basename(path)}.torrent`);
      writeFileSync(torrent, makeTorrentOf(path).raw);
      return torrent;
    });
    await program.json('rebuild');
    const { code, stdout, stderr } = await program.run('add', ...torrents, '--no-client');
    assert.equal(code, 0, stdout + stderr);
  }

  const shown = ({ name }: Pick<Film, 'name'>): string => join(program.storePath, name, name);

  /** Counts pieces that are served, and how many of these are wrong. In another process: a mount may hang. */
  function served(one: Film): { right: number; wrong: number } {
    // What cannot be read becomes zeros, which stand for what is missing, too.
    const args = [`if=${shown(one)}`, 'bs=16384', 'conv=noerror,sync', 'status=none'];
    const { stdout } = spawnSync('dd', args, { timeout: 60_000, maxBuffer: 16 * PIECE * PIECES });
    let [right, wrong] = [0, 0];
    for (let piece = 0; piece < PIECES; piece++) {
      const bytes = stdout.subarray(piece * PIECE, (piece + 1) * PIECE);
      if (bytes.equals(one.data.subarray(piece * PIECE, (piece + 1) * PIECE))) right++;
      else if (bytes.some((byte) => byte !== 0)) wrong++;
    }
    return { right, wrong };
  }

  async function verify(one: Film): Promise<VerifiedJson & { sources: readonly SettledJson[] }> {
    const { stdout, stderr } = await program.run('--json', 'verify', one.name);
    const [result] = JSON.parse(stdout) as VerifiedJson[];
    assert.ok(result, stderr);
    return result;
  }

  const events: readonly [string, (one: Film) => void, pieces: number, state: SettledJson['state']][] = [
    ['renamed', ({ path }) => renameSync(path, join(dirname(path), 'another name')), 61, 'doubted'],
    ['moved to another folder', ({ path }) => renameSync(path, join(disk, 'films', 'x')), 61, 'doubted'],
    ['in a folder that was renamed', ({ path }) => renameSync(dirname(path), join(disk, 'films', 'B')), 61, 'trusted'],
    ['moved to another disk', ({ path, name }) => moveAcross(path, join(other, name)), 61, 'doubted'],
    ['moved to another disk under another name', ({ path }) => moveAcross(path, join(other, 'x')), 61, 'doubted'],
    ['touched', ({ path }) => utimesSync(path, 1, 1), 61, 'doubted'],
    ['restored from a backup', restore, 61, 'doubted'],
    ['re-tagged to a new file', ({ path, data }) => retag(path, data, `${path}.new`), 60, 'lost'],
    ['re-tagged in place', ({ path, data }) => retag(path, data), 60, 'lost'],
    ['appended to', ({ path }) => appendFileSync(path, randomBytes(128)), 61, 'remapped'],
    ['overwritten in the middle', ({ path, data }) => writeFileSync(path, damaged(data)), 60, 'lost'],
    ['cut in the middle', ({ path }) => truncateSync(path, 30 * PIECE), 30, 'lost'],
  ];
  it('serves what is possible of films that changed', LONG, async () => {
    const films = await filmsOf(events.length);
    await unseen(async () => {
      for (const [i, [, change]] of events.entries()) change(films[i]!);
      // A file that was written to a moment ago may still be.
      await sleep(5500);
    });
    const { stdout } = await program.run('--json', 'verify', ...films.map(({ name }) => name));
    const results = JSON.parse(stdout) as (VerifiedJson & { sources: readonly SettledJson[] })[];
    for (const [i, [what, , pieces, state]] of events.entries()) {
      const [one, result] = [films[i]!, results[i]!];
      assert.deepEqual(
        result.sources.map((source) => [source.path, source.state]),
        [[one.path, state]],
        what,
      );
      assert.deepEqual(served(one), { right: pieces, wrong: 0 }, what);
      assert.equal(result.broken, pieces < PIECES, what);
    }
  });

  it('serves a copy of a film that was deleted, and settles it when rebuild ends', async () => {
    const one = await film();
    cpSync(one.path, join(other, 'some copy'));
    rmSync(one.path);
    const report = (await program.json('rebuild')) as { sources: { mapped: number } };
    assert.equal(report.sources.mapped, 1);
    assert.deepEqual(served(one), { right: PIECES, wrong: 0 });
  });

  it('relocates, proves, and refuses what lies on no disk', async () => {
    const one = await film();
    mkdirSync(join(other, 'deep'), { recursive: true });
    cpSync(dirname(one.path), join(other, 'deep', 'A'), { recursive: true });
    const to = join(other, 'deep', 'A');
    const typo = await program.run('relocate', join(disk, 'flims'), to);
    assert.equal(typo.code, 1);
    assert.match(typo.stderr, /no source is recorded below/);
    const nothing = await program.run('--json', 'relocate', dirname(one.path), join(other, 'depe'));
    assert.equal(nothing.code, 3);
    assert.deepEqual(JSON.parse(nothing.stdout), { relocated: 0, doubted: 0, missing: 1, different: 0, skipped: 0 });
    assert.deepEqual(await program.json('relocate', dirname(one.path), to), {
      relocated: 1,
      doubted: 1,
      missing: 0,
      different: 0,
      skipped: 0,
    });
    rmSync(dirname(one.path), { recursive: true });
    assert.deepEqual(served(one), { right: PIECES, wrong: 0 });
    const refused = await program.run('relocate', to, '/etc');
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /lies on no disk/);
    writeFileSync(join(other, one.name), randomBytes(PIECES * PIECE));
    const different = await program.run('--json', 'relocate', to, other);
    assert.equal(different.code, 3);
    assert.deepEqual(JSON.parse(different.stdout), { relocated: 0, doubted: 0, missing: 0, different: 1, skipped: 0 });
  });

  it('relocates what is there already, the rest later, and into a folder below the old one', async () => {
    const films = await filmsOf(3);
    const [from, to] = [join(disk, 'films'), join(disk, 'films', 'seen')];
    const moved = async (some: readonly Film[]): Promise<void> =>
      await unseen(() => {
        mkdirSync(to, { recursive: true });
        for (const { path } of some) renameSync(dirname(path), join(to, basename(dirname(path))));
      });
    await moved(films.slice(0, 2));
    const half = await program.run('relocate', `${from}/`, to);
    assert.equal(half.code, 3, half.stderr);
    assert.match(half.stdout, /^2 source\(s\).*\n1 stay as they were: 1 are not there/);
    assert.match(half.stderr, /The same command goes on/);
    await moved(films.slice(2));
    const rest = { relocated: 1, doubted: 0, missing: 0, different: 0, skipped: 0 };
    assert.deepEqual(await program.json('relocate', from, to), rest);
    for (const one of films) assert.deepEqual(served(one), { right: PIECES, wrong: 0 });
    const same = await program.run('relocate', to, `${to}/`);
    assert.equal(same.code, 2);
    assert.match(same.stderr, /is the old and the new folder/);
  });

  it('maps what became a gap when the file is there again, below what a client wrote meanwhile', LONG, async () => {
    const one = await film();
    await unseen(async () => {
      truncateSync(one.path, 30 * PIECE);
      await sleep(5500);
    });
    const repaired = await program.run('--json', 'verify', '--repair', one.name);
    assert.equal(repaired.code, 0, repaired.stdout);
    const file = await open(shown(one), 'r+');
    await file.write(Buffer.alloc(PIECE, 'client'), 0, PIECE, 40 * PIECE);
    await file.close();
    await unseen(async () => {
      writeFileSync(one.path, one.data);
      await sleep(5500);
    });
    assert.equal((await verify(one)).returned_bytes, 30 * PIECE);
    assert.deepEqual(served(one), { right: PIECES - 1, wrong: 1 });
  });

  it('lets many that are gone wait, and gives them up when asked', LONG, async () => {
    const folders = ['many', 'more'].map((name) => join(disk, 'films', name));
    for (const folder of folders) {
      mkdirSync(folder);
      for (let i = 0; i < 15; i++) writeFileSync(join(folder, `file ${i}`), randomBytes(PIECE));
    }
    await add(...folders);
    // Out of the disks: as a branch of a pool that goes away.
    await unseen(() => renameSync(join(disk, 'films'), join(base, 'away')));
    const gone = await program.run('--json', 'verify', 'many', 'more');
    assert.equal(gone.code, 3);
    for (const { sources } of JSON.parse(gone.stdout) as VerifiedJson[]) {
      assert.deepEqual([sources.length, new Set(sources.map(({ state }) => state))], [15, new Set(['waiting'])]);
    }
    const again = await program.run('--json', 'verify', 'many');
    const still = (JSON.parse(again.stdout) as VerifiedJson[]).flatMap(({ sources }) => sources);
    assert.deepEqual([still.length, new Set(still.map(({ state }) => state))], [15, new Set(['waiting'])]);
    assert.equal(again.code, 3);

    const other = await program.run('--json', 'verify', '--give-up', join(base, 'other'));
    assert.deepEqual([other.code, JSON.parse(other.stdout)], [0, []]);
    const unknown = await program.run('verify', '--give-up', join(base, 'nowhere'));
    assert.equal(unknown.code, 2);
    assert.match(unknown.stderr, /no source lies on .*nowhere, nor waits for it[^]*Sources wait for (uuid|mount):/);
    const given = await program.run('--json', 'verify', '--give-up', join(disk, 'films', 'more'));
    assert.equal(given.code, 3);
    const lost = JSON.parse(given.stdout) as SettledJson[];
    assert.deepEqual([lost.length, new Set(lost.map(({ state }) => state))], [15, new Set(['lost'])]);

    renameSync(join(base, 'away'), join(disk, 'films'));
    const back = await program.run('--json', 'verify', 'many', 'more');
    assert.equal(back.code, 0, back.stdout);
    for (const { sources } of JSON.parse(back.stdout) as VerifiedJson[]) {
      assert.ok(sources.every(({ state }) => state === 'trusted'));
    }
  });

  it('goes on when the healer is killed', async () => {
    const films = await filmsOf(3);
    for (const one of films) moveAcross(one.path, join(other, one.name));
    const verifying = films.map(async (one) => await verify(one));
    for (let i = 0; i < 5; i++) {
      await sleep(150);
      killProgram(program.config, 'heal');
    }
    await Promise.all(verifying);
    for (const one of films) assert.deepEqual(served(one), { right: PIECES, wrong: 0 });
  });
});

function moveAcross(from: string, to: string): void {
  cpSync(from, to, { preserveTimestamps: true });
  rmSync(from);
}

function restore({ path, data }: Film): void {
  writeFileSync(`${path}.new`, data);
  renameSync(`${path}.new`, path);
}

function retag(path: string, data: Buffer, at = path): void {
  writeFileSync(at, Buffer.concat([randomBytes(333), data.subarray(100)]));
  if (at !== path) renameSync(at, path);
}

function damaged(data: Buffer): Buffer {
  const copy = Buffer.from(data);
  randomBytes(100).copy(copy, 500_000);
  return copy;
}
