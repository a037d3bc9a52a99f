/**
 * A client in a container, which is a mount namespace here: what its folder shows when the server was killed, or ended, and was
 * started again. The container has its volumes as Docker makes them with `rslave`.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import type { AddOutcome } from '../../src/app/add-outcome.ts';
import { createClient } from '../../src/clients/create.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { type Daemon, waitUntil } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';
import { guardMount } from '../harness/mount-guard.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { startTransmission } from '../harness/transmission.ts';

const run = promisify(execFile);

/** Makes the volume `$1` at `$2`, hides the folder `$3` of the host, and stays until its input ends. */
const CONTAINER = `
set -e
mount --rbind "$1" "$2"
mount --make-rslave "$2"
mount -t tmpfs none "$3"
echo ready
exec cat`;

interface Container {
  /** The beginning of a command line that runs its rest in it. */
  readonly command: readonly string[];
  /** Gives what a file holds there. */
  read(path: string): Promise<string>;
}

describe('a client in a container', { skip: NEEDS_ROOT, concurrency: 3 }, () => {
  let folder: string;
  /** As the root of a host with systemd: shared. */
  let host: string;

  before(async () => {
    folder = temporaryFolder('container');
    host = join(folder, 'host');
    await mkdir(host);
    guardMount(host);
    await run('mount', ['--bind', host, host]);
    await run('mount', ['--make-shared', host]);
  });
  after(async () => {
    await run('umount', [host]);
  });

  const start = async (t: TestContext, volume: string, seen: string): Promise<Container> => {
    await mkdir(seen, { recursive: true });
    const args = ['--mount', '--propagation', 'slave', 'sh', '-c', CONTAINER, 'sh', volume, seen, host];
    const holder: ChildProcess = spawn('unshare', args, { stdio: ['pipe', 'pipe', 'inherit'] });
    t.after(async () => {
      const ended = once(holder, 'exit');
      holder.stdin?.end();
      await ended;
    });
    await Promise.race([
      once(holder.stdout!, 'data'),
      once(holder, 'exit').then(() => Promise.reject(new Error('the container could not be made'))),
    ]);
    const command = ['nsenter', `--mount=/proc/${holder.pid}/ns/mnt`];
    return {
      command,
      async read(path) {
        const inside = [...command.slice(1), 'cat', path];
        return (await run('nsenter', inside, { timeout: 20_000, encoding: 'latin1' })).stdout;
      },
    };
  };

  interface Scene {
    readonly autotorrent: Autotorrent;
    readonly server: Daemon;
    /** The folder above the mount. */
    readonly above: string;
    readonly torrent: string;
    readonly infoHash: string;
    readonly film: string;
  }

  /** A server on the host, with one film in the mount. */
  const scene = async (t: TestContext, name: string, client?: readonly string[], seen?: string): Promise<Scene> => {
    const above = join(host, name);
    await mkdir(join(above, 'disk'), { recursive: true });
    const film = `${name} `.repeat(20_000);
    await writeFile(join(above, 'disk', 'film.mkv'), film);
    const content = [{ path: ['film.mkv'], data: Buffer.from(film) }];
    const { raw, infoHash } = makeTorrent({ name: 'Film', announce: 'http://127.0.0.1:1/announce', content });
    const torrent = join(above, 'film.torrent');
    await writeFile(torrent, raw);
    const autotorrent = await autotorrentIn({
      folder: above,
      disks: [join(above, 'disk')],
      ...(client === undefined ? {} : { client, general: [`path_map = ${above} = ${seen}`] }),
    });
    assert.equal((await autotorrent.run('rebuild')).code, 0);
    const server = await autotorrent.mount();
    t.after(() => server.stop());
    if (client === undefined) assert.equal((await autotorrent.run('add', '--no-client', torrent)).code, 0);
    return { autotorrent, server, above, torrent, infoHash, film };
  };

  const again = async (t: TestContext, made: Scene, how: 'SIGKILL' | 'SIGTERM'): Promise<Scene> => {
    await made.server.stop(how);
    const server = await made.autotorrent.mount();
    t.after(() => server.stop());
    return { ...made, server };
  };

  for (const how of ['SIGKILL', 'SIGTERM'] as const) {
    it(`sees the next mount where it has the folder above the mount: ${how}`, async (t) => {
      const made = await scene(t, `above-${how}`);
      const seen = join(folder, `seen-above-${how}`);
      const container = await start(t, made.above, seen);
      const path = join(seen, 'store', 'film', 'Film', 'film.mkv');
      assert.equal(await container.read(path), made.film);
      const next = await again(t, made, how);
      assert.equal(await container.read(path), made.film);
      await again(t, next, how);
      assert.equal(await container.read(path), made.film);
    });

    it(`sees a dead mount for ever where it has the mount itself: ${how}`, async (t) => {
      const made = await scene(t, `itself-${how}`);
      const seen = join(folder, `seen-itself-${how}`);
      const container = await start(t, join(made.above, 'store'), seen);
      const path = join(seen, 'film', 'Film', 'film.mkv');
      assert.equal(await container.read(path), made.film);
      await again(t, made, how);
      await assert.rejects(container.read(path), /Transport endpoint is not connected/);
    });
  }

  it('that was started before the mount sees it', async (t) => {
    const above = join(host, 'early');
    await mkdir(above);
    const seen = join(folder, 'seen-early');
    const container = await start(t, above, seen);
    const { film } = await scene(t, 'early');
    assert.equal(await container.read(join(seen, 'store', 'film', 'Film', 'film.mkv')), film);
  });

  it('seeds again by itself after the server was killed: a real client', async (t) => {
    const above = join(host, 'client');
    await mkdir(above);
    const seen = join(folder, 'seen-client');
    const container = await start(t, above, seen);
    const transmission = await startTransmission({ within: container.command, address: '127.0.0.180' });
    t.after(() => transmission.stop());
    const made = await scene(t, 'client', ['client = transmission', `url = ${transmission.url}`], seen);
    const { stdout } = await made.autotorrent.run('--json', 'add', made.torrent);
    const [outcome] = JSON.parse(stdout) as AddOutcome[];
    assert.equal(outcome?.status, 'OK', stdout);
    const client = createClient({ client: 'transmission', url: transmission.url });
    t.after(() => client.close());
    const seeds = async (): Promise<void> =>
      await waitUntil('it seeds', async () => {
        const [state] = await client.list([made.infoHash]);
        return state?.activity === 'seeding' && state.progress === 1 && state.directory === join(seen, 'store', 'film');
      });
    await seeds();
    await again(t, made, 'SIGKILL');
    // Its own check reads the film by the folder that it has.
    await client.recheck([made.infoHash]);
    await seeds();
  });
});
