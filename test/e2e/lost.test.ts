/**
 * A part of what a real client seeds is lost for good: the client is stopped, told to check, downloads the part from another
 * client, and seeds all of it again. Nothing is replaced: the built program, a real mount, real clients.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { EntryJson } from '../../src/cli/json.ts';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import { waitUntil } from '../harness/daemon.ts';
import { hashTree } from '../harness/folder.ts';
import { bytesReceived, type ClientKind, exchange, type Member } from '../harness/swarm.ts';
import { complete, type PartialRelease, shownPath } from './partial/releases.ts';
import { LIMIT_MS, Scene } from './partial/scene.ts';

const KiB = 1024;
const PIECE = 64 * KiB;
const MB = 1_000_000;

const CASES: readonly {
  readonly onMount: ClientKind;
  readonly complete: ClientKind;
  readonly fresh: ClientKind;
  readonly address: number;
}[] = [
  { onMount: 'rtorrent', complete: 'qbittorrent', fresh: 'qbittorrent', address: 141 },
  { onMount: 'deluge', complete: 'qbittorrent', fresh: 'qbittorrent', address: 144 },
  { onMount: 'transmission', complete: 'qbittorrent', fresh: 'qbittorrent', address: 147 },
  { onMount: 'qbittorrent', complete: 'deluge', fresh: 'deluge', address: 150 },
];

function release(): PartialRelease {
  return {
    title: 'what is lost',
    name: 'Lost.And.Found.2004-DEMO',
    pieceLength: PIECE,
    verify: 'full',
    files: [
      complete('one.mkv', randomBytes(4 * MB + 11)),
      complete('two.mkv', randomBytes(MB + 12_345)),
      complete('three.mkv', randomBytes(2 * MB + 7)),
    ],
  };
}

/** Two at a time: clients wait for each other more than they compute. */
describe('what is lost', { concurrency: 2 }, () => {
  for (const { onMount, fresh: freshKind, address, ...roles } of CASES) {
    describe(`${onMount} seeds, and a part of a source is lost`, { concurrency: 1 }, () => {
      const lost = release();
      const [, two] = lost.files;
      const left = 500_000;
      let scene: Scene;
      let fresh: Member;
      let pid: number;
      const entry = async (): Promise<EntryJson> => {
        const [one] = (await scene.autotorrent.json('list', '--no-client')) as EntryJson[];
        return one ?? assert.fail();
      };

      before(async () => {
        // Else it is kept before it is cut.
        const general = ['rescue_limit = 0'];
        scene = await Scene.make({ ...roles, onMount, address, releases: [lost], general });
        await scene.add();
        await scene.all('it seeds', ({ activity, progress }) => activity === 'seeding' && progress === 1);
        fresh = await scene.member(freshKind, address + 2);
        pid = scene.mounted.daemon.pid;
      });
      after(() => scene?.end());

      it('is stopped, checks, and downloads what is missing', async () => {
        const { laid, mounted, autotorrent, collection } = scene;
        const directory = fresh.daemon.downloads;
        await fresh.client.add(laid.map(({ raw }) => ({ metainfo: parseMetainfo(raw), directory })));
        await fresh.client.start(scene.hashes);
        await truncate(join(collection, 'shelf 0', 'two.mkv'), left);
        // Somebody reads it.
        const shown = join(autotorrent.storePath, lost.name, shownPath(lost, two ?? assert.fail()));
        await waitUntil('it cannot be read, or is a gap', async () =>
          readFile(shown).then(
            (bytes) => !bytes.equals(two?.data ?? bytes),
            () => true,
          ),
        );
        const [state] = await scene.all('it downloads', ({ activity }) => activity === 'downloading');
        assert.ok((state?.progress ?? 1) < 1);
        const { missing_bytes: missing } = await entry();
        assert.ok(missing >= MB + 12_345 - left && missing <= MB + 12_345, `${missing} bytes are missing`);
        await Promise.all([
          exchange(scene.seeder, mounted, scene.hashes, LIMIT_MS),
          exchange(mounted, fresh, scene.hashes, LIMIT_MS),
        ]);
      });

      it('has downloaded the pieces of the loss alone', async () => {
        const [infoHash = ''] = scene.hashes;
        const received = await bytesReceived(scene.mounted, infoHash);
        assert.ok(received >= MB + 12_345 - left && received <= MB + 12_345 + 2 * PIECE, `${received} bytes`);
      });

      it('has sent no wrong byte', async () => {
        assert.deepEqual(await hashTree(fresh.daemon.downloads), await hashTree(scene.completeFolder));
      });

      it('is alive and well, and every piece is proven', async () => {
        assert.equal(scene.mounted.daemon.pid, pid);
        await scene.all('it seeds', ({ activity, progress }) => activity === 'seeding' && progress === 1);
        await waitUntil('all pieces are verified', async () => {
          const { missing_bytes: missing, pieces, verified_pieces: verified } = await entry();
          return missing === 0 && verified === pieces;
        });
        const verified = await scene.autotorrent.run('verify');
        assert.equal(verified.code, 0, verified.stdout + verified.stderr);
      });
    });
  }
});
