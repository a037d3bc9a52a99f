/**
 * Partial torrents with nothing replaced: the built program, a real mount, a client on it, and another client that has
 * everything in a plain folder.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { AddOutcome } from '../../../src/app/add-outcome.ts';
import type { TorrentState } from '../../../src/clients/client.ts';
import { parseMetainfo } from '../../../src/metainfo/parse.ts';
import { type Autotorrent, autotorrentIn } from '../../harness/autotorrent.ts';
import { type Daemon, waitUntil } from '../../harness/daemon.ts';
import { hashTree, temporaryFolder } from '../../harness/folder.ts';
import { type ClientKind, type Member, type MemberOptions, sectionOf, startMember } from '../../harness/swarm.ts';
import { type LaidOut, layOut, type PartialRelease } from './releases.ts';

/** Milliseconds for the clients' own exchanges: they unchoke and ask each other every ten seconds. */
export const LIMIT_MS = 120_000;

export interface SceneOptions {
  readonly onMount: ClientKind;
  readonly complete: ClientKind;
  /** Loopback addresses: 127.0.0.N, which `member` gets. */
  readonly address: number;
  readonly releases: readonly PartialRelease[];
  /** Further lines of [general]. */
  readonly general?: readonly string[];
  readonly mountedOptions?: MemberOptions;
  readonly completeOptions?: MemberOptions;
}

export class Scene {
  readonly collection: string;
  /** The folder of the client that has everything. */
  readonly completeFolder: string;
  readonly autotorrent: Autotorrent;
  readonly mounted: Member;
  readonly seeder: Member;
  readonly laid: readonly LaidOut[];
  readonly hashes: readonly string[];
  server: Daemon;
  readonly #undo: (() => Promise<unknown>)[];
  readonly #sources: ReadonlyMap<string, string>;

  private constructor(
    parts: Pick<Scene, 'collection' | 'completeFolder' | 'autotorrent' | 'mounted' | 'seeder' | 'laid' | 'server'>,
    undo: (() => Promise<unknown>)[],
    sources: ReadonlyMap<string, string>,
  ) {
    this.collection = parts.collection;
    this.completeFolder = parts.completeFolder;
    this.autotorrent = parts.autotorrent;
    this.mounted = parts.mounted;
    this.seeder = parts.seeder;
    this.laid = parts.laid;
    this.hashes = parts.laid.map(({ infoHash }) => infoHash);
    this.server = parts.server;
    this.#undo = undo;
    this.#sources = sources;
  }

  /** Mounts and indexes; the client with everything seeds; nothing is added yet. */
  static async make(options: SceneOptions): Promise<Scene> {
    const { onMount, complete, address, releases } = options;
    const undo: (() => Promise<unknown>)[] = [];
    try {
      const folder = temporaryFolder('partial');
      const collection = join(folder, 'collection');
      const completeFolder = join(folder, 'complete');
      const torrents = join(folder, 'torrents');
      const mounted = await startMember(onMount, `127.0.0.${address}`, options.mountedOptions);
      undo.push(() => mounted.daemon.stop());
      undo.push(() => mounted.client.close());
      const seeder = await startMember(complete, `127.0.0.${address + 1}`, options.completeOptions);
      undo.push(() => seeder.daemon.stop());
      undo.push(() => seeder.client.close());
      const laid = await layOut(releases, { collection, complete: completeFolder, torrents });
      const sources = await hashTree(collection, 'sha256');
      const autotorrent = await autotorrentIn({
        folder,
        disks: [collection],
        client: sectionOf(mounted),
        general: ['add_limit_percent = 100', ...(options.general ?? [])],
      });
      const rebuilt = await autotorrent.run('rebuild');
      assert.equal(rebuilt.code, 0, rebuilt.stderr);
      await seeder.client.add(laid.map(({ raw }) => ({ metainfo: parseMetainfo(raw), directory: completeFolder })));
      await seeder.client.start(laid.map(({ infoHash }) => infoHash));
      const server = await autotorrent.mount();
      undo.push(() => server.stop());
      return new Scene({ collection, completeFolder, autotorrent, mounted, seeder, laid, server }, undo, sources);
    } catch (error) {
      await unwind(undo);
      throw error;
    }
  }

  end(): Promise<void> {
    return unwind(this.#undo);
  }

  /** Starts a further client, which has nothing. */
  async member(kind: ClientKind, number: number): Promise<Member> {
    const started = await startMember(kind, `127.0.0.${number}`);
    this.#undo.push(() => started.daemon.stop());
    this.#undo.push(() => started.client.close());
    return started;
  }

  /** Mounts again, after the server has ended. */
  async mount(): Promise<void> {
    const server = await this.autotorrent.mount();
    this.server = server;
    this.#undo.push(() => server.stop());
  }

  /** Adds every torrent as a user does; gives the messages, in the order of `laid`. */
  async add(): Promise<string[]> {
    const reasons = new Map<string, string>();
    for (const verify of ['none', 'probe', 'full'] as const) {
      const torrents = this.laid.filter(({ release }) => release.verify === verify).map(({ torrent }) => torrent);
      if (torrents.length === 0) continue;
      const added = await this.autotorrent.run('--json', 'add', '--verify', verify, ...torrents);
      assert.equal(added.code, 0, added.stdout + added.stderr);
      for (const { torrent, reason } of JSON.parse(added.stdout) as AddOutcome[]) reasons.set(torrent, reason);
    }
    return this.laid.map(({ torrent }) => reasons.get(torrent) ?? '');
  }

  /** Waits until the client on the mount has every torrent in such a state; gives the states in the order of `laid`. */
  async all(what: string, is: (state: TorrentState) => boolean): Promise<readonly TorrentState[]> {
    let states: readonly TorrentState[] = [];
    try {
      await waitUntil(
        what,
        async () => {
          const listed = new Map((await this.mounted.client.list(this.hashes)).map((state) => [state.infoHash, state]));
          states = this.hashes.map((hash) => listed.get(hash)).filter((state) => state !== undefined);
          return states.length === this.hashes.length && states.every(is);
        },
        { limitMs: LIMIT_MS },
      );
    } catch (cause) {
      throw new Error(`${what}: ${JSON.stringify(states)}`, { cause });
    }
    return states;
  }

  /** Has the client on the mount hash everything again: it must find everything right. */
  async recheck(then: 'seeding' | 'stopped'): Promise<void> {
    assert.deepEqual(await this.mounted.client.recheck(this.hashes), this.hashes);
    // rTorrent is `queued` for a moment between its check and its start.
    const states = await this.all('checked', ({ activity }) => activity !== 'checking' && activity !== 'queued');
    for (const { name, activity, progress } of states) assert.deepEqual([activity, progress], [then, 1], name);
  }

  async collectionIsUnchanged(): Promise<void> {
    assert.deepEqual(await hashTree(this.collection, 'sha256'), this.#sources);
  }
}

async function unwind(undo: (() => Promise<unknown>)[]): Promise<void> {
  for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
}
