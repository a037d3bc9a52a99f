/** Candidates that are changed, cut, deleted, replaced or made unreadable while they are hashed. */
import assert from 'node:assert/strict';
import { closeSync, mkdirSync, openSync, renameSync, rmSync, symlinkSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { countBits } from '../../src/extent/bitfield.ts';
import type { HashPool } from '../../src/hash/hash-pool.ts';
import { createHashPool } from '../../src/hash/piscina-pool.ts';
import { silentLogger } from '../../src/logger.ts';
import type { MatchMode, TorrentMatch } from '../../src/match/match.ts';
import { matchTorrents } from '../../src/match/match-torrents.ts';
import { ANYWHERE, anywhere } from '../harness/anywhere.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { identityAt } from '../harness/plans.ts';
import { edited } from './edits.ts';
import { content, type Files, PIECE, torrent, writeFiles } from './fixtures.ts';
import { NaiveIndex } from './naive-index.ts';

const HASHED: readonly MatchMode[] = ['normal', 'hash_name', 'hash_size', 'hash_slow'];
const ORIGINAL = content('changing', 40 * PIECE + 99);
const DAMAGED = edited(ORIGINAL, [
  ['insert', 9 * PIECE, 512],
  ['flip', 30 * PIECE, 9],
]);
const film = torrent('film.mkv', ORIGINAL);

const CHANGES: Readonly<Record<string, (path: string) => void>> = {
  changed(path) {
    const fd = openSync(path, 'r+');
    writeSync(fd, 'other bytes', 5 * PIECE);
    closeSync(fd);
  },
  cut: (path) => truncateSync(path, 100),
  grown: (path) => truncateSync(path, ORIGINAL.length + 9999),
  deleted: (path) => rmSync(path),
  replaced(path) {
    renameSync(path, `${path}.old`);
    writeFiles(join(path, '..'), { 'film.mkv': content('another', DAMAGED.length) });
  },
  'made a folder'(path) {
    rmSync(path);
    mkdirSync(path);
  },
  // Root cannot read this either: a link to itself.
  'made unreadable'(path) {
    rmSync(path);
    symlinkSync(path, path);
  },
};

describe('a candidate that, while it is hashed, is', () => {
  const base = temporaryFolder('match');
  const inner = createHashPool({ sources: ANYWHERE, threads: 2 });
  after(() => inner.close());
  let disks = 0;

  /** Runs `change` before the pool's call number `call`. */
  async function run(
    files: Files,
    call: number,
    change: (disk: string) => void,
  ): Promise<{ found: TorrentMatch; calls: number }> {
    const disk = join(base, `${disks++}`);
    writeFiles(disk, files);
    let calls = 0;
    const pool: HashPool = {
      async hash(jobs, options) {
        if (calls++ === call) change(disk);
        return await inner.hash(jobs, options);
      },
      close: () => Promise.resolve(),
    };
    const [found] = await matchTorrents([{ name: 't', metainfo: film }], {
      index: new NaiveIndex(disk),
      pool,
      options: { scanModes: HASHED, verify: 'full' },
      logger: silentLogger,
      access: anywhere(),
    });
    assert.ok(found !== undefined);
    return { found, calls };
  }

  for (const [name, change] of Object.entries(CHANGES)) {
    it(`${name}, is left alone, which is said`, async () => {
      const undisturbed = await run({ 'film.mkv': DAMAGED }, -1, () => {});
      assert.equal(countBits(undisturbed.found.verified), 40);
      for (let call = 0; call < undisturbed.calls; call++) {
        const { found } = await run({ 'film.mkv': DAMAGED }, call, (disk) => change(join(disk, 'film.mkv')));
        const [file] = found.files;
        assert.equal(countBits(found.verified), 0, `before call ${call}`);
        assert.deepEqual([file?.status, file?.code], ['missing', 'changed'], `before call ${call}`);
        assert.match(file?.reason ?? '', /film\.mkv .*(changed|cannot be read|not)/);
      }
    });

    it(`${name}, gives way to another copy`, async () => {
      const files = { 'film.mkv': DAMAGED, 'zz/copy.bin': ORIGINAL };
      const { calls } = await run({ 'film.mkv': DAMAGED }, -1, () => {});
      for (let call = 0; call < calls; call++) {
        const { found } = await run(files, call, (disk) => change(join(disk, 'film.mkv')));
        for (const source of found.sources) {
          const { path: _path, spares: _spares, ...identity } = source;
          assert.deepEqual(
            identityAt(source.path),
            identity,
            `before call ${call}: ${source.path.toString()} is not what was hashed`,
          );
        }
        assert.equal(countBits(found.verified), 41, `before call ${call}: ${found.reason}`);
      }
    });
  }
});
