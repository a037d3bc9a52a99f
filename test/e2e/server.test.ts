/** The server under signals, crashes, second starts, hostile requests, and sources that change. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { promisify } from 'node:util';
import type { EntryJson, FileJson, StatusJson } from '../../src/cli/json.ts';
import { ControlClient } from '../../src/control/client.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { startDaemon, waitUntil } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';

const exec = promisify(execFile);

describe('the server', () => {
  let folder: string;
  let autotorrent: Autotorrent;
  const undo: (() => Promise<unknown>)[] = [];

  const put = async (path: string, data: Buffer): Promise<void> => {
    await mkdir(join(folder, 'disk', path, '..'), { recursive: true });
    await writeFile(join(folder, 'disk', path), data);
  };
  const torrent = async (name: string, data: Buffer): Promise<string> => {
    const path = join(folder, `${name}.torrent`);
    await writeFile(path, makeTorrent({ name: `${name}.bin`, content: data }).raw);
    return path;
  };
  /** An entry `film` of 100 kB whose only source is disk/there/film.bin. */
  const film = async (): Promise<Buffer> => {
    const data = Buffer.alloc(100_000, 'film ');
    await put('there/film.bin', data);
    assert.equal((await autotorrent.run('rebuild')).code, 0);
    const added = await autotorrent.run('add', await torrent('film', data));
    assert.equal(added.code, 0, added.stdout + added.stderr);
    return data;
  };
  const control = async (): Promise<ControlClient> => {
    const client = await ControlClient.connect(join(autotorrent.statePath, 'socket'));
    assert.ok(client);
    return client;
  };

  beforeEach(async () => {
    folder = temporaryFolder('server');
    await mkdir(join(folder, 'disk'));
    autotorrent = await autotorrentIn({ folder, disks: [join(folder, 'disk')] });
  });
  afterEach(async () => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
  });
  const mount = async (...args: string[]): ReturnType<Autotorrent['mount']> => {
    const server = await autotorrent.mount(...args);
    undo.push(() => server.stop());
    return server;
  };

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    it(`unmounts at ${signal} and ends well`, async () => {
      const server = await mount();
      await server.stop(signal);
      assert.match(server.exited() ?? '', /ended with 0$/);
      assert.doesNotMatch(await readFile('/proc/mounts', 'utf8'), new RegExp(autotorrent.storePath));
    });
  }

  it('starts on a disk without a free byte, serves it, and lets files be deleted there', async (t) => {
    if (process.getuid?.() !== 0) return t.skip('only root can mount a small disk');
    const state = autotorrent.statePath;
    await mkdir(state);
    await exec('mount', ['-t', 'tmpfs', '-o', 'size=32m,mode=0700', 'tmpfs', state]);
    undo.push(async () => await exec('umount', ['-l', state]));
    const first = await mount();
    const data = await film();
    const shown = join(autotorrent.storePath, 'film');
    await writeFile(join(shown, 'large'), Buffer.alloc(2 ** 22, 'large'));
    await waitUntil('room is kept', async () => (await stat(join(state, 'ballast'))).size > 0);
    await first.stop();
    // dd ends with an error where the disk is full.
    await exec('dd', ['if=/dev/zero', `of=${join(state, 'hog')}`, 'bs=4096']).catch(() => {});
    assert.equal((await statfs(state)).bavail, 0);
    await mount();
    assert.ok((await readFile(join(shown, 'film.bin'))).equals(data));
    await rm(join(shown, 'large'));
    await waitUntil('there is room again', async () => (await statfs(state)).bavail > 500);
    assert.deepEqual(await readdir(shown), ['film.bin']);
  });

  it('loses nothing of what a program has changed through mmap when it is told to end, the file still open', async () => {
    await mount();
    const data = await film();
    const shown = join(autotorrent.storePath, 'film', 'film.bin');
    const program = `
import mmap, sys, time
file = open(sys.argv[1], 'r+b')
memory = mmap.mmap(file.fileno(), 0)
memory[50000:50009] = b'as mapped'
print('written', flush=True)
time.sleep(60)`;
    const writer = await startDaemon('python3', ['-c', program, shown], { cwd: folder });
    undo.push(() => writer.stop('SIGKILL'));
    await waitUntil('written', async () => writer.output().includes('written'), { daemon: writer });
    assert.equal((await autotorrent.run('unmount')).code, 0);
    await mount();
    data.write('as mapped', 50_000);
    assert.deepEqual(await readFile(shown), data);
  });

  it('refuses a second server of the same store, and names the first', async () => {
    const server = await mount();
    const { code, stderr } = await autotorrent.run('mount');
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`is served already: .* in use by process ${server.pid}`));
  });

  it('keeps entries over kill -9, replaces the stale mount, and unmount removes one', async () => {
    const first = await mount();
    const data = await film();
    const before = await stat(join(autotorrent.storePath, 'film', 'film.bin'));
    await first.stop('SIGKILL');
    await mount();
    const path = join(autotorrent.storePath, 'film', 'film.bin');
    assert.deepEqual(await readFile(path), data);
    const after = await stat(path);
    assert.deepEqual([after.ino, after.mtimeMs, after.size], [before.ino, before.mtimeMs, before.size]);
  });

  it('unmount removes the mount that a killed server left', async () => {
    const server = await mount();
    await server.stop('SIGKILL');
    const { code, stdout } = await autotorrent.run('unmount');
    assert.equal(code, 0);
    assert.match(stdout, /killed server/);
    assert.deepEqual(await readdir(autotorrent.storePath), []);
  });

  it('ends when its mount is removed from outside', async () => {
    const server = await mount();
    await exec('umount', [autotorrent.storePath]);
    await waitUntil('the server ends', async () => server.exited() !== undefined);
    assert.match(server.output(), /removed from outside/);
    assert.match(server.exited() ?? '', /ended with 1$/);
  });

  it('refuses a mount point that is not empty, and leaves it alone', async () => {
    await mkdir(join(folder, 'store', 'Old.Release'), { recursive: true });
    const { code, stderr } = await autotorrent.run('mount');
    assert.equal(code, 1);
    assert.match(stderr, /not empty/);
    assert.deepEqual(await readdir(join(folder, 'store')), ['Old.Release']);
  });

  it('detaches with --daemon, and says what went wrong where it cannot', async () => {
    const { code, stdout, stderr } = await autotorrent.run('mount', '--daemon');
    assert.equal(code, 0, stderr);
    const pid = Number(/in process (\d+)/.exec(stdout)?.[1]);
    undo.push(() => autotorrent.run('unmount'));
    assert.equal(((await autotorrent.json('status')) as StatusJson).pid, pid);
    const second = await autotorrent.run('--json', 'mount', '--daemon');
    assert.equal(second.code, 1);
    const { error } = JSON.parse(second.stdout) as { error: { code: string; message: string; hint: string } };
    assert.equal(error.code, 'STORE', 'as without --daemon');
    assert.match(error.message, /is served already/);
    assert.match(error.hint, /autotorrent status asks that server/);
    assert.equal((await autotorrent.run('unmount')).code, 0);
    await waitUntil('it ends', async () => (await stat(`/proc/${pid}`).catch(() => undefined)) === undefined);
  });

  it('takes up what a crash left adding', async () => {
    await mount();
    const data = await film();
    const server = await control();
    const [entry] = (await autotorrent.json('list')) as EntryJson[];
    assert.equal(entry?.state, 'added');
    await server.remove('film');
    // The state right after the plan was handed over, as when `add` is killed there.
    const { encodedPlan } = await import('../../src/plan/codec.ts');
    const raw = await readFile(join(folder, 'film.torrent'));
    await server.create(
      encodedPlan({
        name: 'film',
        infoHash: entry?.info_hash ?? '',
        metainfo: raw,
        pieceCount: 7,
        pieceLength: 16_384,
        verified: Buffer.alloc(1),
        verify: 'none',
        totalLength: data.length,
        missingBytes: data.length,
        sources: [],
        files: [
          {
            path: ['film.bin'],
            length: data.length,
            status: 'missing',
            mode: 'none',
            code: 'no-candidate',
            mtimeMs: 0,
            executable: false,
            extents: [{ offset: 0, length: data.length, source: -2, sourceOffset: 0 }],
          },
        ],
      }),
    );
    assert.equal((await server.entry('film'))?.state, 'adding');
    const again = await autotorrent.run('add', join(folder, 'film.torrent'));
    assert.match(again.stdout, /\[OK\]/, again.stderr);
    assert.equal((await server.entry('film'))?.state, 'added');
    assert.deepEqual(await readFile(join(autotorrent.storePath, 'film', 'film.bin')), data);
  });

  it('serves no byte of a source that changed, names it, and serves it again when it is back', async () => {
    await mount();
    const data = await film();
    const source = join(folder, 'disk', 'there', 'film.bin');
    const shown = join(autotorrent.storePath, 'film', 'film.bin');
    // Out of the disk: within it, the record would follow.
    const away = join(folder, 'film.away');
    await rename(source, away);
    await writeFile(source, Buffer.alloc(data.length, 'other'));
    await assert.rejects(readFile(shown), { code: 'EIO' });
    const status = (await autotorrent.json('status')) as StatusJson;
    assert.deepEqual(status.broken_entries, ['film']);
    assert.equal(status.broken_sources[0]?.path, source);
    // The healer may have found out already that nothing else has its bytes.
    assert.match(((await autotorrent.json('list')) as EntryJson[])[0]?.health ?? '', /^(healing|lost)$/);
    await rename(away, source);
    await waitUntil('it is served again', async () => (await readFile(shown)).equals(data));
    assert.deepEqual(((await autotorrent.json('status')) as StatusJson).broken_entries, []);
  });

  it('serves a source that was renamed while it ran, and one that was renamed while no server ran', async () => {
    const first = await mount();
    const data = await film();
    const shown = join(autotorrent.storePath, 'film', 'film.bin');
    const sourceNow = async (): Promise<string | null | undefined> => {
      const { file_list: [file] = [] } = (await autotorrent.json('show', 'film')) as { file_list?: FileJson[] };
      return file?.extents[0]?.source;
    };
    const places = ['there/film.bin', 'there/renamed.bin', 'elsewhere/film (2020).bin'].map((place) =>
      join(folder, 'disk', place),
    );
    const [old = '', renamed = '', moved = ''] = places;
    await rename(old, renamed);
    assert.deepEqual(await readFile(shown), data);
    await waitUntil('it is mapped at its new name', async () => (await sourceNow()) === renamed);
    await first.stop();
    await mkdir(join(moved, '..'));
    await rename(renamed, moved);
    await mount();
    // The first read finds out, and waits for the case to be settled.
    assert.deepEqual(await readFile(shown), data);
    assert.equal(await sourceNow(), moved);
  });

  it('answers hostile requests with a clear error and goes on', async () => {
    await mount();
    const socketPath = join(autotorrent.statePath, 'socket');
    assert.equal((await stat(socketPath)).mode & 0o777, 0o600);
    const ask = (method: string, path: string, body: string): Promise<[number, string]> =>
      new Promise((resolve, reject) => {
        const call = request({ socketPath, method, path }, (reply) => {
          let text = '';
          reply.on('data', (chunk: Buffer) => {
            text += chunk.toString();
          });
          reply.on('end', () => resolve([reply.statusCode ?? 0, text]));
        });
        call.on('error', reject);
        call.end(body);
      });
    const cases: readonly [string, string, string, number][] = [
      ['POST', '/v1/entries', 'no plan', 500],
      ['POST', '/v1/entries', `ATPLAN${'\xff'.repeat(1000)}`, 500],
      ['GET', '/v1/entries/nothing', '', 404],
      ['GET', '/v1/entries/%ff', '', 400],
      ['GET', '/', '', 404],
      ['DELETE', '/v1/status', '', 404],
      ['PUT', '/v1/entries/nothing/names', '{"names": "x"}', 404],
      ['PUT', '/v1/entries/nothing/names', 'no json', 404],
    ];
    for (const [method, path, body, expected] of cases) {
      const [status, text] = await ask(method, path, body);
      assert.equal(status, expected, `${method} ${path}: ${text}`);
      assert.equal(typeof (JSON.parse(text) as { error: { message: string } }).error.message, 'string');
    }
    assert.equal(((await autotorrent.json('status')) as StatusJson).entries, 0);
  });

  it('lets one command add at a time, and the next when that one ends or is killed', async () => {
    await mount();
    const data = Buffer.alloc(100_000, 'film ');
    await put('there/film.bin', data);
    assert.equal((await autotorrent.run('rebuild')).code, 0);
    const file = await torrent('film', data);
    const server = await control();
    const { signal } = new AbortController();
    const end = await server.turn(() => {}, signal);
    const stopped = new AbortController();
    const killed = server.turn(() => stopped.abort(), stopped.signal);
    let waiting = false;
    const next = server.turn(() => {
      waiting = true;
    }, signal);
    await assert.rejects(killed);
    await waitUntil('waiting', async () => waiting);
    end();
    (await next)();
    const results = await Promise.all([autotorrent.run('add', file), autotorrent.run('add', file)]);
    const codes = results.map(({ code }) => code);
    assert.deepEqual(
      codes.toSorted((a, b) => a - b),
      [0, 3],
      'one OK, one Exists',
    );
    assert.equal((await server.entries())[0]?.state, 'added');
  });

  it('shows which pieces were verified', async () => {
    await mount();
    await film();
    const shown = (await autotorrent.json('show', 'film')) as EntryJson & { verified_ranges: [number, number][] };
    const count = shown.verified_ranges.reduce((sum, [first, end]) => sum + end - first, 0);
    assert.equal(count, shown.verified_pieces);
    assert.deepEqual(shown.verified_ranges[0]?.[0], 0);
    assert.match((await autotorrent.run('show', 'film')).stdout, /\n {2}verified {3}pieces 0/);
  });
});
