/** A client on the mount with two torrents: one that it seeds, and one that the user has stopped. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdir, readdir, readlink, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TorrentActivity } from '../../../src/clients/client.ts';
import { bytes, reaches } from '../../clients/steps.ts';
import { type Autotorrent, type AutotorrentOptions, autotorrentIn } from '../../harness/autotorrent.ts';
import { type CountingProxy, startCountingProxy } from '../../harness/counting-proxy.ts';
import { type Daemon, waitUntil } from '../../harness/daemon.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { makeTorrent } from '../../harness/make-torrent.ts';
import { type ClientKind, type Member, sectionOf, startMember } from '../../harness/swarm.ts';

const LENGTH = 3_000_000;
/** Loopback addresses of their own: two clients with one address do not connect to each other. */
export const CLIENTS: readonly { readonly kind: ClientKind; readonly address: string }[] = [
  { kind: 'rtorrent', address: '127.0.0.71' },
  { kind: 'transmission', address: '127.0.0.72' },
  { kind: 'qbittorrent', address: '127.0.0.73' },
  { kind: 'deluge', address: '127.0.0.74' },
];

interface SceneOptions extends Pick<AutotorrentOptions, 'general'> {
  /** autotorrent reaches the client through `scene.proxy`. */
  readonly proxied?: true;
}

interface Parts {
  readonly folder: string;
  readonly member: Member;
  readonly autotorrent: Autotorrent;
  readonly hashes: readonly string[];
  readonly proxy: CountingProxy | undefined;
  readonly undo: (() => Promise<unknown>)[];
}

export class AbsenceScene {
  readonly folder: string;
  readonly member: Member;
  readonly autotorrent: Autotorrent;
  readonly seeding: string;
  readonly stopped: string;
  readonly proxy: CountingProxy | undefined;
  server!: Daemon;
  readonly #undo: (() => Promise<unknown>)[];

  private constructor({ folder, member, autotorrent, hashes, proxy, undo }: Parts) {
    this.folder = folder;
    this.member = member;
    this.autotorrent = autotorrent;
    this.proxy = proxy;
    [this.seeding = '', this.stopped = ''] = hashes;
    this.#undo = undo;
  }

  static async make(
    { kind, address }: (typeof CLIENTS)[number],
    { proxied, ...options }: SceneOptions = {},
  ): Promise<AbsenceScene> {
    const undo: (() => Promise<unknown>)[] = [];
    try {
      const folder = temporaryFolder('absence');
      await mkdir(join(folder, 'disk'));
      const hashes: string[] = [];
      for (const [i, name] of ['seeds.bin', 'stopped.bin'].entries()) {
        const content = bytes(LENGTH, 100 + i);
        await writeFile(join(folder, 'disk', name), content);
        const { raw, infoHash } = makeTorrent({ announce: 'http://127.0.0.1:9/announce', name, content });
        await writeFile(join(folder, `${name}.torrent`), raw);
        hashes.push(infoHash);
      }
      const member = await startMember(kind, address);
      undo.push(async () => {
        await member.client.close();
        await member.daemon.stop();
      });
      const proxy = proxied === true ? await startCountingProxy(member.daemon.url) : undefined;
      if (proxy !== undefined) undo.push(() => proxy.stop());
      const { url } = proxy ?? member.daemon;
      const autotorrent = await autotorrentIn({
        folder,
        disks: [join(folder, 'disk')],
        client: sectionOf({ kind, daemon: { ...member.daemon, url } }),
        ...options,
      });
      assert.equal((await autotorrent.run('rebuild')).code, 0);
      const scene = new AbsenceScene({ folder, member, autotorrent, hashes, proxy, undo });
      await scene.mount();
      const added = await autotorrent.run('add', folder);
      assert.equal(added.code, 0, added.stdout + added.stderr);
      for (const hash of hashes) await reaches(member.client, hash, 'seeding');
      await member.client.stop([scene.stopped]);
      return scene;
    } catch (error) {
      await unwind(undo);
      throw error;
    }
  }

  end(): Promise<void> {
    return unwind(this.#undo);
  }

  /** Steps that undo what a test has started in addition. */
  later(step: () => Promise<unknown>): void {
    this.#undo.push(step);
  }

  #hangs = false;

  get hangs(): boolean {
    return this.#hangs;
  }

  /** The client accepts connections and answers nothing, until the returned function is called. */
  hang(): () => void {
    const { pid } = this.member.daemon;
    const goOn = (): void => {
      if (this.#hangs) process.kill(pid, 'SIGCONT');
      this.#hangs = false;
    };
    process.kill(pid, 'SIGSTOP');
    this.#hangs = true;
    this.later(async () => goOn());
    return goOn;
  }

  /** The same, from the first call after the record says which torrents to stop. */
  hangOnceRecorded(): () => void {
    const { proxy } = this;
    assert.ok(proxy, 'it is made `proxied`');
    let goOn = (): void => {};
    const look = (): void => {
      if (this.recorded().includes(this.seeding)) goOn = this.hang();
      else proxy.at(1, look);
    };
    proxy.at(1, look);
    return () => goOn();
  }

  /** Kills the server, and has the client check files that it then cannot read. */
  async checksInVain(): Promise<void> {
    await this.server.stop('SIGKILL');
    await this.missesEverything();
  }

  /** Has the client check while the mount is away. */
  async missesEverything(): Promise<void> {
    await this.member.client.recheck([this.seeding]);
    await waitUntil('it misses everything', async () => {
      const [state] = await this.member.client.list([this.seeding]);
      if (state === undefined || state.activity === 'seeding') return false;
      return state.activity === 'error' || state.progress === 0;
    });
  }

  /** Ends the server in order, without a message. */
  async unmount(): Promise<void> {
    const { code, stderr } = await this.autotorrent.run('unmount');
    assert.deepEqual([code, stderr], [0, '']);
    await this.serverEnds();
  }

  async mount(...args: string[]): Promise<void> {
    const server = await this.autotorrent.mount(...args);
    this.#undo.push(() => server.stop());
    this.server = server;
  }

  async activity(hash: string): Promise<TorrentActivity | undefined> {
    return (await this.member.client.list([hash]))[0]?.activity;
  }

  /** Waits until the server has ended in good order. */
  async serverEnds(): Promise<void> {
    await waitUntil('the server has ended', async () => this.server.exited() !== undefined);
    assert.match(this.server.exited() ?? '', /ended with 0$/, this.server.output());
  }

  /** Adds a torrent whose second half is missing, and gives its info hash. */
  async addHalf(): Promise<string> {
    const content = ['here.bin', 'gone.bin'].map((name, i) => ({ path: [name], data: bytes(LENGTH, 110 + i) }));
    const { raw, infoHash } = makeTorrent({ announce: 'http://127.0.0.1:9/announce', name: 'half', content });
    for (const { path, data } of content.slice(0, 1)) await writeFile(join(this.folder, 'disk', ...path), data);
    await writeFile(join(this.folder, 'half.torrent'), raw);
    assert.equal((await this.autotorrent.run('rebuild')).code, 0);
    const added = await this.autotorrent.run('add', join(this.folder, 'half.torrent'));
    assert.equal(added.code, 0, added.stdout + added.stderr);
    return infoHash;
  }

  /** Info hashes of the torrents to start; read synchronously, before anything else happens. */
  recorded(): readonly string[] {
    return this.#record().stopped;
  }

  /** The next mount's task. */
  needs(): string {
    return this.#record().needs;
  }

  /** Waits until all is recorded. */
  async isServing(): Promise<void> {
    await waitUntil('all is recorded', async () => this.needs() === 'serving');
  }

  /** Waits until the server has said this. */
  async says(words: string): Promise<void> {
    await waitUntil(`it says: ${words}`, async () => this.server.output().includes(words));
  }

  #record(): { readonly needs: string; readonly stopped: readonly string[] } {
    const text = readFileSync(join(this.autotorrent.statePath, 'absence.json'), 'utf8');
    const { clients } = JSON.parse(text) as { clients: Record<string, { needs: string; stopped: string[] }> };
    return clients[''] ?? { needs: 'nothing', stopped: [] };
  }

  /** Files that the client on the mount has open and that no server serves any longer. */
  async staleFiles(): Promise<string[]> {
    const folder = `/proc/${this.member.daemon.pid}/fd`;
    const stale: string[] = [];
    for (const fd of await readdir(folder)) {
      const path = await readlink(join(folder, fd)).catch(() => '');
      if (!path.startsWith(this.autotorrent.storePath)) continue;
      await stat(join(folder, fd)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') stale.push(`${path}: ${error.code}`);
      });
    }
    return stale;
  }

  /** Checks that it seeds from the present mount what a check finds whole, and that the user's stopped torrent is stopped. */
  async seeds({ userStopped = true } = {}): Promise<void> {
    await reaches(this.member.client, this.seeding, 'seeding');
    await waitUntil('nothing is left to start', async () => this.recorded().length === 0);
    assert.deepEqual(await this.staleFiles(), []);
    await this.member.client.recheck([this.seeding]);
    // Some take a moment to begin, and some report for a moment that they seed nothing.
    await sleep(500);
    await waitUntil('checked', async () => {
      const [state] = await this.member.client.list([this.seeding]);
      return state?.activity === 'seeding' && state.progress === 1;
    });
    if (userStopped) assert.equal(await this.activity(this.stopped), 'stopped');
  }
}

async function unwind(undo: (() => Promise<unknown>)[]): Promise<void> {
  for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
}
