/** Planning several torrents in one run: what is hashed of files that they have in common. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { beginOpening } from '../../src/app/opening-index.ts';
import { Planner } from '../../src/app/planning.ts';
import { rebuildCollection } from '../../src/app/rebuild.ts';
import type { ParsedTorrent } from '../../src/app/torrent-files.ts';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { sourceRules } from '../../src/config/source-rules.ts';
import { countBits } from '../../src/extent/bitfield.ts';
import { silentLogger } from '../../src/logger.ts';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';

const PIECE = 1024 * 1024;
const FILM = 40 * PIECE;

describe('planning', () => {
  const folder = temporaryFolder('planning');
  const film = randomBytes(FILM);
  const extra = randomBytes(3 * PIECE);
  let config: Config;
  const parsed = (name: string, options: Parameters<typeof makeTorrent>[0]): ParsedTorrent => {
    const { raw } = makeTorrent({ pieceLength: PIECE, ...options });
    return { path: `/${name}.torrent`, name, metainfo: parseMetainfo(raw) };
  };
  const alone = parsed('alone', { name: 'film.bin', content: film });
  /** Another torrent of the same file, with the same boundaries of pieces. */
  const pack = parsed('pack', {
    name: 'pack',
    content: [
      { path: ['film.bin'], data: film },
      { path: ['extra.bin'], data: extra },
    ],
  });

  before(async () => {
    mkdirSync(join(folder, 'disk'));
    writeFileSync(join(folder, 'disk', 'film.bin'), film);
    writeFileSync(join(folder, 'disk', 'extra.bin'), extra);
    const general = ['[general]', 'db = index', 'store_path = store', '[disks]', 'disk1 = disk'];
    writeFileSync(join(folder, 'autotorrent.conf'), general.join('\n'));
    config = await loadConfig({ cwd: folder, env: {}, file: undefined, client: undefined });
    const { signal } = new AbortController();
    const request = { paths: [], cwd: folder, full: false, logger: silentLogger, signal, onProgress() {} };
    await rebuildCollection(config, request);
  });

  /** Plans both, side by side; gives the bytes that were read for it. */
  async function hashedBytes(changesNothing: boolean): Promise<number> {
    let bytes = 0;
    const { signal } = new AbortController();
    const opening = beginOpening(config, { logger: silentLogger, signal });
    const planner = new Planner(config, {
      index: opening.opened,
      rules: sourceRules(config),
      hashes: true,
      changesNothing,
      logger: silentLogger,
      signal,
      onHashing: ({ totalBytes }) => {
        bytes = Math.max(bytes, totalBytes);
      },
    });
    try {
      const planned = await Promise.all(
        [alone, pack].map(async (torrent) => await planner.plan(torrent, { verify: 'full', spares: false })),
      );
      for (const { plan } of planned) assert.equal(countBits(plan.verified), plan.pieceCount);
    } finally {
      await planner.close();
      await opening.close();
    }
    return bytes;
  }

  it('reads once what two torrents have in common, and nothing again that an earlier run proved', async () => {
    // A file that has just changed is not remembered.
    await sleep(2100);
    assert.equal(await hashedBytes(true), FILM + extra.length, 'in one run, with nothing remembered');
    assert.equal(await hashedBytes(false), FILM + extra.length, 'a dry run leaves nothing');
    assert.equal(await hashedBytes(false), 0);
  });
});
