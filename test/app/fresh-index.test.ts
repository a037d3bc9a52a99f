/** Nothing is lost before the index was asked that was made after the loss: the real index, over two folders as disks. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { appendFileSync, mkdirSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { rebuildCollection } from '../../src/app/rebuild.ts';
import { FreshIndex } from '../../src/app/settling/fresh-index.ts';
import type { CollectionIndex } from '../../src/collection/index.ts';
import { openCollection } from '../../src/collection/open.ts';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { CaseClient } from '../../src/control/case-client.ts';
import type { Case, Outcome } from '../../src/heal/case.ts';
import { silentLogger } from '../../src/logger.ts';
import { IndexRenewal } from '../../src/server/settling/index-renewal.ts';
import { ReleasedFolders } from '../../src/source/released-folders.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { caseOf, healBench, mappedBytes, sameOf, type World, worldOf } from '../heal/bench.ts';

const PIECE = 16_384;
const PIECES = 8;
/** Times of files are those of the clock's last tick. */
const TICKS_MS = 200;
const TOOLS = { logger: silentLogger, signal: new AbortController().signal };

/** Two disks with an index, and the server's part. */
class Disks {
  readonly config: Config;
  readonly folder: string;
  /** Rebuilds that the server has allowed. */
  rebuilds = 0;
  person = false;
  asleep = false;
  #index: Promise<CollectionIndex> | undefined;
  readonly #renewal = new IndexRenewal({
    use: {
      look: () => Promise.resolve(),
      usedLately: () => !this.asleep,
      ownWork: async (_, work) => await work(),
    },
    times: { every: 600_000, quiet: 0, patience: 0, failed: 60_000 },
  });
  readonly #fresh: FreshIndex;

  private constructor(folder: string, config: Config) {
    this.folder = folder;
    this.config = config;
    this.#fresh = new FreshIndex(config, {
      server: { cases: this.#cases() as CaseClient },
      access: {
        fileSystems: { diskOf: () => Promise.resolve('uuid:1'), disksMounted: () => Promise.resolve(new Map()) },
        released: new ReleasedFolders(),
      },
      ...TOOLS,
      onRenewed: () => this.#renew(),
    });
  }

  static async make(): Promise<Disks> {
    const folder = temporaryFolder('fresh-index');
    for (const disk of ['a', 'b']) mkdirSync(join(folder, disk));
    const text = '[general]\ndb = index\nstore_path = store\n[disks]\na = a\nb = b\n';
    writeFileSync(join(folder, 'autotorrent.conf'), text);
    const disks = new Disks(folder, await loadConfig({ cwd: folder, env: {}, file: undefined, client: undefined }));
    await rebuildCollection(disks.config, { paths: [], cwd: folder, full: false, ...TOOLS, onProgress() {} });
    return disks;
  }

  #cases(): Pick<CaseClient, 'index' | 'indexRenewed'> {
    return {
      index: async ({ missing, ...question }) => {
        const answer = await this.#renewal.ask(question, this.person);
        if (answer.state === 'renew') this.rebuilds++;
        const [disk] = missing;
        if (answer.state !== 'fresh' || disk === undefined) return answer;
        return { state: 'away', begun: answer.begun, disk, reason: 'is away' };
      },
      indexRenewed: (disks, begunMs, failed) => {
        if (failed === undefined) this.#renewal.renewed(disks, begunMs);
        else this.#renewal.failed(failed);
        return Promise.resolve();
      },
    };
  }

  async index(): Promise<CollectionIndex> {
    return await (this.#index ??= openCollection(this.config, TOOLS).openIndex());
  }

  #renew(): void {
    void this.close();
  }

  async close(): Promise<void> {
    const before = this.#index;
    this.#index = undefined;
    await (await before)?.close();
  }

  /** What a settler is given. */
  get options() {
    return {
      rules: { disks: this.config.disks },
      index: async () => await this.index(),
      freshIndex: async ({ id }: Case, leftMs: number) => await this.#fresh.sees(id, leftMs),
    };
  }

  at(...parts: readonly string[]): string {
    return join(this.folder, ...parts);
  }
}

describe('what is lost', { timeout: 120_000 }, () => {
  const { settle } = healBench();
  let disks: Disks;

  afterEach(async () => {
    await disks.close();
  });

  function write(...parts: readonly string[]): { name: string; data: Buffer; path: string } {
    const path = disks.at(...parts);
    mkdirSync(join(path, '..'), { recursive: true });
    const data = randomBytes(PIECES * PIECE);
    writeFileSync(path, data);
    return { name: parts.at(-1) ?? '', data, path };
  }

  async function settled(world: World, id = 1, more: Partial<Case> = {}): Promise<readonly Outcome[]> {
    return await settle(world, caseOf(world, id, { sinceMs: Date.now(), ...more }), disks.options);
  }

  async function kindOf(world: World, id = 1, more: Partial<Case> = {}): Promise<string | undefined> {
    return (await settled(world, id, more)).at(-1)?.kind;
  }

  it('is looked for in a new index first: a file in a new folder of another disk is found', async () => {
    disks = await Disks.make();
    const film = write('a', 'films', 'film.mkv');
    const world = worldOf({ files: [film] });
    mkdirSync(disks.at('b', 'new', 'deep'), { recursive: true });
    renameSync(film.path, disks.at('b', 'new', 'deep', 'moved.mkv'));
    // By its times it is found without an index.
    utimesSync(disks.at('b', 'new', 'deep', 'moved.mkv'), 1, 1);
    for (const seenDeleted of [true, false]) {
      const { path } = sameOf(await settled(world, 1, { seenDeleted }));
      assert.equal(path, disks.at('b', 'new', 'deep', 'moved.mkv'));
    }
    assert.equal(disks.rebuilds, 1);
  });

  it('is lost once the index is newer, by one rebuild for all, and waits for the next where it went later', async () => {
    disks = await Disks.make();
    const films = Array.from({ length: 30 }, (_, i) => write('a', `${i}.mkv`));
    const world = worldOf({ files: films });
    for (const { path } of films.slice(1)) rmSync(path);
    await sleep(TICKS_MS);
    for (let id = 2; id <= films.length; id++) assert.equal(await kindOf(world, id, { seenDeleted: true }), 'lost');
    assert.equal(disks.rebuilds, 1);

    rmSync(films[0]!.path);
    const [outcome] = await settled(world, 1, { seenDeleted: true });
    assert.ok(outcome?.kind === 'later' && outcome.awaits === 'index');
    assert.match(outcome.reason, /^is looked for again when the index is renewed, in 10 minute/);
    disks.person = true;
    await sleep(TICKS_MS);
    assert.equal(await kindOf(world, 1, { seenDeleted: true }), 'lost');
    assert.equal(await kindOf(world, 1, { seenDeleted: true }), 'lost');
    assert.equal(disks.rebuilds, 2);
  });

  it('is known to have gone before a rebuild by the times of its folder', async () => {
    disks = await Disks.make();
    const film = write('a', 'films', 'film.mkv');
    const world = worldOf({ files: [film, write('a', 'other.mkv')] });
    rmSync(disks.at('a', 'other.mkv'));
    rmSync(disks.at('a', 'films'), { recursive: true });
    await sleep(TICKS_MS);
    assert.equal(await kindOf(world, 2, { seenDeleted: true }), 'lost');
    assert.equal(await kindOf(world, 1, { seenDeleted: true }), 'lost');
    assert.equal(disks.rebuilds, 1);
  });

  it('is mapped as far as it was found, and the rest stays open while the disks sleep', async () => {
    disks = await Disks.make();
    const film = write('a', 'film.mkv');
    const world = worldOf({ files: [film] });
    writeFileSync(film.path, Buffer.concat([randomBytes(333), film.data.subarray(100)]));
    disks.asleep = true;
    const outcomes = await settled(world, 1, { state: 'doubted' });
    assert.deepEqual(mappedBytes(outcomes, 0, film.data), { right: (PIECES - 1) * PIECE, wrong: 0 });
    const last = outcomes.at(-1);
    assert.ok(last?.kind === 'later' && last.awaits === 'index');
    assert.match(last.reason, /^is looked for on .* once that is in use again/);
    assert.equal(disks.rebuilds, 0);

    mkdirSync(disks.at('b', 'x'));
    writeFileSync(disks.at('b', 'x', 'film.mkv'), film.data);
    disks.asleep = false;
    assert.equal(sameOf(await settled(world, 1, { state: 'doubted' })).path, disks.at('b', 'x', 'film.mkv'));
  });

  it('is found where the index saw only a part of it: a copy that grew', async () => {
    disks = await Disks.make();
    const film = write('a', 'film.mkv');
    const world = worldOf({ files: [film] });
    const to = disks.at('b', 'new', 'film.mkv');
    mkdirSync(disks.at('b', 'new'));
    writeFileSync(to, film.data.subarray(0, PIECE));
    // A folder that has just changed would be read again.
    await sleep(2500);
    await rebuildCollection(disks.config, { paths: [], cwd: '/', full: false, ...TOOLS, onProgress() {} });
    appendFileSync(to, film.data.subarray(PIECE));
    rmSync(film.path);
    assert.equal(sameOf(await settled(world, 1, { seenDeleted: true })).path, to);
  });

  it('is not asked for where nothing is lost', async () => {
    disks = await Disks.make();
    const film = write('a', 'film.mkv');
    const world = worldOf({ files: [film] });
    utimesSync(film.path, 1, 1);
    sameOf(await settled(world, 1, { state: 'doubted' }));
    appendFileSync(film.path, 'a tag');
    assert.deepEqual(mappedBytes(await settled(world, 1, { state: 'doubted' }), 0, film.data).right, PIECES * PIECE);
    assert.equal(disks.rebuilds, 0);
  });

  it('waits for a disk of the configuration that is not there', async () => {
    disks = await Disks.make();
    const film = write('a', 'film.mkv');
    const world = worldOf({ files: [film] });
    rmSync(film.path);
    rmSync(disks.at('b'), { recursive: true });
    await sleep(TICKS_MS);
    const [outcome] = await settled(world, 1, { seenDeleted: true });
    assert.deepEqual(outcome, { kind: 'waiting', id: 1, reason: 'is away', disk: disks.at('b') });
    assert.equal(disks.rebuilds, 1);
    mkdirSync(disks.at('b'));
    assert.equal(await kindOf(world, 1, { seenDeleted: true }), 'lost');
    assert.equal(disks.rebuilds, 2, 'it was read first');
  });
});
