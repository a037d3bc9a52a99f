/** `autotorrent scrub`: proves what was probed, finds what rotted, and goes on where it was killed. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, open, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EntryJson, ScrubbedJson, StatusJson } from '../../src/cli/json.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { type Daemon, startDaemon, waitUntil } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';

const PIECE = 16_384;

describe('scrub', () => {
  let folder: string;
  let autotorrent: Autotorrent;
  let server: Daemon | undefined;
  const undo: (() => Promise<unknown>)[] = [];

  const disk = (name: string): string => join(folder, 'disk', name);
  const begin = async (general: readonly string[] = []): Promise<void> => {
    autotorrent = await autotorrentIn({
      folder,
      disks: [join(folder, 'disk')],
      general: ['verify = probe', 'hash_readers = 1', ...general],
    });
    const started = await autotorrent.mount();
    server = started;
    undo.push(() => started.stop());
  };
  const add = async (name: string, data: Buffer, pieceLength = PIECE): Promise<void> => {
    await writeFile(disk(`${name}.bin`), data);
    await writeFile(
      join(folder, `${name}.torrent`),
      makeTorrent({ name: `${name}.bin`, content: data, pieceLength }).raw,
    );
    assert.equal((await autotorrent.run('rebuild')).code, 0);
    const added = await autotorrent.run('add', join(folder, `${name}.torrent`));
    assert.equal(added.code, 0, added.stdout + added.stderr);
  };
  const verified = async (name: string): Promise<number> => {
    const entries = (await autotorrent.json('list', '--no-client')) as EntryJson[];
    return entries.find((entry) => entry.name === name)?.verified_pieces ?? -1;
  };
  const scrub = async (...args: string[]): Promise<{ code: number; found: ScrubbedJson[]; stderr: string }> => {
    const { code, stdout, stderr } = await autotorrent.run('--json', 'scrub', ...args);
    return { code, found: JSON.parse(stdout) as ScrubbedJson[], stderr };
  };
  /** Changes bytes and leaves size and mtime as they are, as a dying disk does. */
  const rot = async (name: string, position: number): Promise<void> => {
    const path = disk(`${name}.bin`);
    const { atime, mtime } = await stat(path);
    const file = await open(path, 'r+');
    await file.write(Buffer.from('rotten'), 0, 6, position);
    await file.close();
    await utimes(path, atime, mtime);
  };

  beforeEach(async () => {
    folder = temporaryFolder('scrub');
    await mkdir(join(folder, 'disk'));
  });
  afterEach(async () => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
  });

  it('proves all of an entry that was only probed, and then has nothing left to do', async () => {
    await begin();
    await add('film', randomBytes(40 * PIECE + 5));
    assert.ok((await verified('film')) < 41);
    const { code, found } = await scrub();
    assert.equal(code, 0);
    assert.equal(found.length, 1);
    assert.deepEqual([found[0]?.name, found[0]?.pieces, found[0]?.bad_pieces], ['film', 41, []]);
    assert.equal(await verified('film'), 41);
    assert.deepEqual(await scrub(), { code: 0, found: [], stderr: '' });
    assert.match((await autotorrent.run('scrub')).stdout, /^Nothing to hash: all was proven within 90 days\n$/);
  });

  it('finds rot in the middle of a file whose size and time are the same, and says which', async () => {
    await begin();
    await add('film', randomBytes(40 * PIECE));
    await add('other', randomBytes(3 * PIECE));
    assert.equal((await scrub()).code, 0);
    await rot('film', 20 * PIECE + 100);
    const { code, found, stderr } = await scrub('--all', 'film');
    assert.equal(code, 3);
    assert.deepEqual(
      found.map(({ name, bad_pieces, proven_pieces, damaged }) => ({ name, bad_pieces, proven_pieces, damaged })),
      [
        {
          name: 'film',
          bad_pieces: [20],
          proven_pieces: 39,
          damaged: [{ source: disk('film.bin'), reason: 'does not hold the bytes of a piece' }],
        },
      ],
    );
    assert.match(stderr, /'film': 1 piece\(s\) do not agree/);
    assert.equal(await verified('film'), 39);
    // What becomes of it is the healer's doing, which may have ended: no view says that all is well.
    const [entry] = (await autotorrent.json('list', '--no-client')) as EntryJson[];
    assert.match(entry?.health ?? '', /^(healing|lost)$/);
    assert.match(entry?.health_detail ?? '', /^(healing 1 of [12]|lost \d)/);
    assert.match((await autotorrent.run('status')).stdout, /^sources {2}.*\b1 (healing|lost)/m);
    const shown = (await autotorrent.run('show', 'film')).stdout;
    assert.match(
      shown,
      /film\.bin {2}\((healing|lost) since \d{4}-.* UTC: it (does not hold the bytes of a piece(; .*)?|lost a part of its bytes, .*)\)$/m,
    );
    assert.match(shown, /(0–655360|327680–344064) ← .*film\.bin.* \((healing|lost)\)$/m);
    const again = await autotorrent.run('add', join(folder, 'film.torrent'));
    assert.match(again.stdout, /\[Exists\].*its sources are not all right: (healing 1 of [12]|lost) /);
    const text = await autotorrent.run('scrub', 'film');
    assert.equal(text.code, 3);
    assert.match(text.stdout, /^'film' 0 of 40 pieces proven now, 1 bad \(20\)\n {2}.*film\.bin does not hold/);
  });

  it('hashes again what was proven scrub_days ago', async () => {
    await begin(['scrub_days = 0']);
    await add('film', randomBytes(10 * PIECE));
    for (let i = 0; i < 2; i++) assert.deepEqual((await scrub()).found[0]?.proven_pieces, 10);
  });

  it('names files that are not there, and hashes the others', async () => {
    await begin();
    await add('film', randomBytes(10 * PIECE));
    await add('other', randomBytes(10 * PIECE));
    await rm(disk('film.bin'));
    const { code, found } = await scrub('--all');
    assert.equal(code, 3);
    const of = (name: string): ScrubbedJson | undefined => found.find((entry) => entry.name === name);
    assert.equal(of('other')?.proven_pieces, 10);
    assert.deepEqual([of('film')?.proven_pieces, of('film')?.left_pieces, of('film')?.bad_pieces], [0, 10, []]);
    assert.deepEqual(of('film')?.damaged, [{ source: disk('film.bin'), reason: 'is not there any more' }]);
  });

  it('goes on after kill -9 without hashing again what it had proven', async () => {
    await begin();
    const large = 2 ** 20;
    await add('film', randomBytes(192 * large), large);
    await rot('film', 5 * large);
    const args = [resolve('dist/src/main.js'), '-c', autotorrent.config, 'scrub', '--all'];
    const running = await startDaemon(process.execPath, args, { cwd: folder });
    await waitUntil('the rot is reported', async () => running.output().includes('do not agree'), { daemon: running });
    await running.stop('SIGKILL');
    const proven = await verified('film');
    assert.ok(proven >= 63, `${proven} pieces were proven`);
    assert.ok(proven < 191, 'it was killed in the middle');
    const { code, found } = await scrub();
    assert.equal(code, 3, 'the rot is still there');
    // The healer may have mapped the rotten file anew: what was only probed is then proven again, too.
    assert.ok((found[0]?.proven_pieces ?? 192) <= 191 - 63, `${found[0]?.proven_pieces} pieces were hashed`);
    assert.equal(await verified('film'), 191);
  });

  it('refuses an unknown name before it hashes anything', async () => {
    await begin();
    await add('film', randomBytes(10 * PIECE));
    assert.equal((await autotorrent.run('scrub', 'film', 'nobody')).code, 1);
    assert.ok((await verified('film')) < 10);
  });

  it('proves in the background what was probed, and reports rot there, once', async () => {
    process.env['AUTOTORRENT_SCRUB_LOOK_MS'] = '2000';
    undo.push(async () => delete process.env['AUTOTORRENT_SCRUB_LOOK_MS']);
    await begin(['scrub = idle', 'scrub_days = 0']);
    await add('film', randomBytes(40 * PIECE));
    await rot('film', 20 * PIECE + 100);
    // A disk counts as used once the kernel's counts have changed: the first look at them is the one to compare with.
    await waitUntil(
      'the scrub',
      async () => {
        await writeFile(disk('used'), randomBytes(PIECE), { flush: true });
        return (await verified('film')) === 39;
      },
      { limitMs: 150_000 },
    );
    const { scrub: status } = (await autotorrent.json('status')) as StatusJson;
    assert.equal(status.when, 'idle');
    await waitUntil('the count', async () => {
      const { scrub: now } = (await autotorrent.json('status')) as StatusJson;
      return now.bad_pieces >= 1 && now.proven_pieces >= 39;
    });
    assert.match(
      (await autotorrent.run('status')).stdout,
      /^scrub {4}(idle|running|paused).*: \d+ piece\(s\) proven, [1-9]\d* bad/m,
    );
    const rounds = server?.output().match(/scrub: \d+ piece\(s\) proven/g)?.length ?? 0;
    await waitUntil('another round', async () => (server?.output().match(/scrub: \d+ piece/g)?.length ?? 0) > rounds);
    assert.equal(server?.output().match(/film\.bin does not hold the bytes of a piece/g)?.length, 1);
  });

  it('leaves everything alone when it is off', async () => {
    process.env['AUTOTORRENT_SCRUB_LOOK_MS'] = '500';
    undo.push(async () => delete process.env['AUTOTORRENT_SCRUB_LOOK_MS']);
    await begin(['scrub = off']);
    await add('film', randomBytes(40 * PIECE));
    const before = await verified('film');
    await sleep(3000);
    assert.equal(await verified('film'), before);
    assert.match((await autotorrent.run('status')).stdout, /^scrub {4}off$/m);
  });
});
