/** Each client seeds each unusual torrent from the mount, or `add` says why it cannot. */
import assert from 'node:assert/strict';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { AddOutcome } from '../../src/app/add-outcome.ts';
import { introduce } from '../../src/app/introduce.ts';
import type { EntryJson, StatusJson } from '../../src/cli/json.ts';
import type { TorrentState } from '../../src/clients/client.ts';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { waitUntil } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { CLIENT_KINDS, type ClientKind, type Member, sectionOf, startMember } from '../harness/swarm.ts';
import { UNUSUAL } from './unusual-torrents.ts';

const KINDS: readonly ClientKind[] = CLIENT_KINDS;

for (const [i, kind] of KINDS.entries()) {
  describe(`unusual torrents in ${kind}`, () => {
    const undo: (() => Promise<unknown>)[] = [];
    const hashes = new Map<string, string>();
    let outcomes: ReadonlyMap<string, AddOutcome>;
    let entries: readonly EntryJson[];
    let member: Member;
    let autotorrent: Autotorrent;

    before(async () => {
      const folder = temporaryFolder('unusual');
      await mkdir(join(folder, 'torrents'));
      for (const { name, data, raw } of UNUSUAL) {
        const disk = join(folder, 'disk', name);
        await mkdir(disk, { recursive: true });
        for (const [number, bytes] of data.entries()) await writeFile(join(disk, `content ${number}`), bytes);
        const torrent = raw(disk);
        await writeFile(join(folder, 'torrents', `${name}.torrent`), torrent);
        hashes.set(name, parseMetainfo(torrent).infoHash);
      }
      member = await startMember(kind, `127.0.0.${50 + i}`);
      undo.push(() => member.daemon.stop());
      autotorrent = await autotorrentIn({
        folder,
        disks: [join(folder, 'disk')],
        client: sectionOf(member),
        // All of one size.
        general: ['scan_mode = hash_size', 'hash_limit = 100, 128 MiB'],
      });
      const rebuilt = await autotorrent.run('rebuild');
      assert.equal(rebuilt.code, 0, rebuilt.stderr);
      const server = await autotorrent.mount();
      undo.push(() => server.stop());
      const { stdout } = await autotorrent.run('--json', 'add', '--verify', 'full', join(folder, 'torrents'));
      outcomes = new Map((JSON.parse(stdout) as AddOutcome[]).map((outcome) => [outcome.name, outcome]));
      entries = (await autotorrent.json('list')) as EntryJson[];
      introduce(
        member.client,
        entries.map(({ info_hash: infoHash, info_hash_v2: v2 }) =>
          v2 === undefined ? { infoHash } : { infoHash, infoHashV2: v2 },
        ),
      );
    });
    after(async () => {
      for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
    });

    for (const { name, refused } of UNUSUAL) {
      const why = refused[kind];
      it(why === undefined ? `${name}: seeds` : `${name}: says why not`, async () => {
        const outcome = outcomes.get(name);
        const hash = hashes.get(name) ?? '';
        const isEntry = entries.some((entry) => entry.info_hash === hash);
        if (why !== undefined) {
          assert.equal(outcome?.status, 'Failed', outcome?.reason);
          assert.match(outcome.reason, why);
          assert.deepEqual([isEntry, await member.client.list([hash])], [false, []]);
          return;
        }
        assert.equal(outcome?.status, 'OK', outcome?.reason);
        assert.ok(isEntry);
        let state: TorrentState | undefined;
        await waitUntil('it seeds', async () => {
          [state] = await member.client.list([hash]);
          return state?.activity === 'seeding' && state.progress === 1;
        }).catch((cause: unknown) => {
          throw new Error(JSON.stringify(state), { cause });
        });
      });
    }

    // qBittorrent looks for other names then.
    it('seeds them all after its restart, and downloads and writes nothing', async () => {
      const seeded = UNUSUAL.filter(({ refused }) => refused[kind] === undefined);
      const wanted = seeded.map(({ name }) => hashes.get(name) ?? '');
      const shown = async (): Promise<string[]> =>
        (await readdir(autotorrent.storePath, { recursive: true })).toSorted();
      const before = await shown();
      await member.daemon.restart('in order');
      let open: readonly TorrentState[] = [];
      await waitUntil('they seed', async () => {
        const states = await member.client.list(wanted);
        open = states.filter(({ activity, progress }) => activity !== 'seeding' || progress !== 1);
        return states.length === wanted.length && open.length === 0;
      }).catch((cause: unknown) => {
        throw new Error(JSON.stringify(open), { cause });
      });
      assert.deepEqual(await shown(), before);
      const { bytes_written: written } = (await autotorrent.json('status')) as StatusJson;
      assert.equal(written, 0);
    });
  });
}
