/**
 * A peer makes a torrent that names a private file by its name and size, has it added, and asks the client for its bytes.
 * Where nothing was hashed, no client may believe the file, and so send it: `verify = none` with `fast_resume = trust` is
 * refused, and with `verified` real clients are told nothing.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { ListedJson } from '../../src/cli/json.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { type Daemon, waitUntil } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';
import { CLIENT_KINDS, type Member, sectionOf, startMember } from '../harness/swarm.ts';

const PIECE = 16_384;
const SECRET = Buffer.alloc(3 * PIECE, 'secret');
/** The peer knows nothing but name and size: the hashes are of other bytes. */
const GUESSED = makeTorrent({
  name: 'private.db',
  content: Buffer.alloc(SECRET.length, '?'),
  private: true,
  announce: 'http://127.0.0.1:9/announce',
});
const BESIDE = makeTorrent({
  name: 'T',
  content: [
    { path: ['small.key'], data: Buffer.alloc(400, '?') },
    { path: ['unknown'], data: Buffer.alloc(100, 'u') },
  ],
  private: true,
  announce: 'http://127.0.0.1:9/announce',
});

function prepared(): { readonly folder: string; readonly torrent: string; readonly beside: string } {
  const folder = temporaryFolder('peer');
  mkdirSync(join(folder, 'disk'));
  writeFileSync(join(folder, 'disk', 'private.db'), SECRET);
  writeFileSync(join(folder, 'disk', 'small.key'), SECRET.subarray(0, 400));
  const torrent = join(folder, 'private.torrent');
  const beside = join(folder, 'beside.torrent');
  writeFileSync(torrent, GUESSED.raw);
  writeFileSync(beside, BESIDE.raw);
  return { folder, torrent, beside };
}

describe('a file that nobody has checked', () => {
  describe('verify = none with fast_resume = trust', () => {
    const SECTIONS = {
      rtorrent: ['client = rtorrent', 'url = scgi://127.0.0.1:1'],
      deluge: ['client = deluge', 'host = 127.0.0.1:1'],
      transmission: ['client = transmission', 'url = http://127.0.0.1:1'],
      qbittorrent: ['client = qbittorrent', 'url = http://127.0.0.1:1'],
      none: ['client = none'],
    };
    const REASON = /a peer could download any file of yours whose name and size its torrent guesses/;
    const { folder, torrent } = prepared();
    const disks = [join(folder, 'disk')];

    for (const [kind, client] of Object.entries(SECTIONS)) {
      it(`is refused, whoever says it, in any order: ${kind}`, async () => {
        for (const general of [
          ['verify = none', 'fast_resume = trust'],
          ['fast_resume = trust', 'verify = none'],
        ]) {
          const program = await autotorrentIn({ folder, disks, client, general });
          const all = [['add', torrent], ['status'], ['add', '--verify', 'full', torrent], ['-a', torrent]];
          for (const args of kind === 'rtorrent' ? all : all.slice(0, 1)) {
            const { code, stderr } = await program.run(...args);
            assert.equal(code, 2, stderr);
            assert.match(stderr, REASON);
            assert.match(stderr, /line \d+: \[general\] fast_resume = "trust" is not valid/);
          }
        }
        const program = await autotorrentIn({ folder, disks, client, general: ['fast_resume = trust'] });
        const asked = [
          ['add', '--verify', 'none', torrent],
          ['add', torrent, '--verify=none'],
          ['add', '--no-client', '--verify', 'none', torrent],
          ['add', '--dry-run', '--verify', 'none', torrent],
        ];
        for (const args of kind === 'rtorrent' ? asked : asked.slice(0, 1)) {
          const { code, stderr } = await program.run(...args);
          assert.equal(code, 2, stderr);
          assert.match(stderr, REASON);
        }
      });
    }

    it('names the code in JSON', async () => {
      const program = await autotorrentIn({ folder, disks, general: ['fast_resume = trust'] });
      const { code, stdout } = await program.run('--json', 'add', '--verify', 'none', torrent);
      assert.equal(code, 2);
      assert.equal((JSON.parse(stdout) as { error: { code: string } }).error.code, 'USAGE');
    });
  });

  for (const [i, kind] of CLIENT_KINDS.entries()) {
    describe(`in ${kind}`, () => {
      const { folder, torrent, beside } = prepared();
      let member: Member;
      let autotorrent: Autotorrent;
      let server: Daemon;
      const undo: (() => Promise<unknown>)[] = [];

      before(async () => {
        member = await startMember(kind, `127.0.0.${20 + i}`);
        undo.push(() => member.daemon.stop());
        autotorrent = await autotorrentIn({
          folder,
          disks: [join(folder, 'disk')],
          client: sectionOf(member),
          general: ['fast_resume = verified', 'add_limit_percent = 100', 'add_limit_size = 1 GB'],
        });
        const { code, stderr } = await autotorrent.run('rebuild');
        assert.equal(code, 0, stderr);
        server = await autotorrent.mount();
        undo.push(() => server.stop());
      });
      after(async () => {
        for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
      });

      const settled = async (name: string): Promise<ListedJson> => {
        let found: ListedJson | undefined;
        await waitUntil('the check of the client', async () => {
          const entries = (await autotorrent.json('list')) as ListedJson[];
          found = entries.find((entry) => entry.name === name);
          return found !== undefined && found.client_state !== 'checking';
        });
        assert.ok(found !== undefined);
        return found;
      };

      it('is not believed with verify = none and fast_resume = verified', async () => {
        const { code, stdout } = await autotorrent.run('add', '--verify', 'none', torrent);
        assert.equal(code, 0, stdout);
        // It is there in the mount, since the user wanted nothing hashed.
        assert.deepEqual(readFileSync(join(autotorrent.storePath, 'private', 'private.db')), SECRET);
        const { client_state: state, client_progress: progress } = await settled('private');
        assert.notEqual(state, 'seeding');
        assert.equal(progress ?? 0, 0);
      });

      it('is not there with fast_resume = trust, if nothing of it could be hashed', async () => {
        const trusting = join(folder, 'trust.conf');
        const text = readFileSync(autotorrent.config, 'utf8');
        writeFileSync(trusting, text.replace('fast_resume = verified', 'fast_resume = trust'));
        const { code, stdout } = await autotorrent.run('-c', trusting, 'add', beside);
        assert.equal(code, 0, stdout);
        const { client_state: state, client_progress: progress } = await settled('beside');
        assert.notEqual(state, 'seeding');
        assert.equal(progress ?? 0, 0);
      });
    });
  }
});
