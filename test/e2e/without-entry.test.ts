/** Torrents that a client has from the mount, and that have no entry any more: what `add` says of them, with each real client. */
import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { AddOutcome } from '../../src/app/add-outcome.ts';
import type { ListedJson } from '../../src/cli/json.ts';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { waitUntil } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';
import { CLIENT_KINDS, type Member, sectionOf, startMember } from '../harness/swarm.ts';

describe('a torrent that a client has from the mount, without an entry', { concurrency: CLIENT_KINDS.length }, () => {
  let autotorrent: Autotorrent;
  const members = new Map<string, Member>();
  const hashes = new Map<string, string>();
  const undo: (() => Promise<unknown>)[] = [];

  before(async () => {
    // Clients spell characters beyond U+FFFF in their own ways.
    const folder = join(temporaryFolder('without-entry'), 'all of it \u{1F600}');
    await mkdir(folder);
    await Promise.all(
      CLIENT_KINDS.map(async (kind, i) => {
        const member = await startMember(kind, `127.0.0.${150 + i}`);
        undo.push(() => member.daemon.stop());
        undo.push(() => member.client.close());
        members.set(kind, member);
        // Transmission changes the name, and looks for that one.
        const [name, path] = [`Of ${kind}`, ['one: two.bin']];
        const content = [
          { path, data: Buffer.alloc(100_000, kind) },
          { path: ['b.bin'], data: Buffer.alloc(60_000, `${kind} b`) },
        ];
        await mkdir(join(folder, 'disk', name), { recursive: true });
        for (const file of content) await writeFile(join(folder, 'disk', name, ...file.path), file.data);
        const torrent = makeTorrent({ name, announce: 'http://127.0.0.1:1/announce', content });
        hashes.set(kind, torrent.infoHash);
        await writeFile(join(folder, `${kind}.torrent`), torrent.raw);
      }),
    );
    const sections = [...members].flatMap(([kind, member]) => [`[client-${kind}]`, ...sectionOf(member)]);
    autotorrent = await autotorrentIn({
      folder,
      disks: [join(folder, 'disk')],
      client: ['client = none', ...sections],
    });
    assert.equal((await autotorrent.run('rebuild')).code, 0);
    const server = await autotorrent.mount();
    undo.push(() => server.stop());
  });
  after(async () => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
  });

  for (const kind of CLIENT_KINDS) {
    it(`is named, and made with --force: ${kind}`, async () => {
      const { client } = members.get(kind) ?? assert.fail();
      const infoHash = hashes.get(kind) ?? assert.fail();
      const add = async (...flags: readonly string[]): Promise<unknown[]> => {
        const { code, stdout } = await autotorrent.run('-l', kind, '--json', 'add', ...flags, `${kind}.torrent`);
        const [outcome] = JSON.parse(stdout) as AddOutcome[];
        return [code, outcome?.status, outcome?.reason];
      };
      const seeds = async (): Promise<void> =>
        await waitUntil('it seeds', async () => {
          const [state] = await client.list([infoHash]);
          return state?.activity === 'seeding' && state.progress === 1;
        });
      assert.deepEqual((await add()).slice(0, 2), [0, 'OK']);
      await seeds();
      const removed = await autotorrent.run('-l', kind, 'remove', kind);
      assert.equal(removed.code, 0, removed.stderr);
      // The client finds out.
      await client.recheck([infoHash]);
      assert.deepEqual(await add(), [
        3,
        'Exists',
        'The client has it from the mount, the store has no entry: --force makes it',
      ]);
      assert.deepEqual(await add('--force'), [0, 'OK', 'Torrent added successfully']);
      await seeds();
      assert.deepEqual(await add(), [0, 'Seeded', 'Already seeded']);
      const listed = (await autotorrent.json('list', '--no-client')) as ListedJson[];
      const entry = listed.find((one) => one.info_hash === infoHash);
      assert.deepEqual([entry?.state, entry?.missing_bytes], ['added', 0]);
    });
  }

  it('is Seeded where the client has it elsewhere, and the reason says that it is in error there', async () => {
    const { client, daemon } = members.get('transmission') ?? assert.fail();
    const data = Buffer.alloc(90_000, 'elsewhere');
    const torrent = makeTorrent({
      name: 'Elsewhere',
      announce: 'http://127.0.0.1:1/announce',
      content: [{ path: ['a.bin'], data }],
    });
    const file = join(daemon.folder, 'Elsewhere.torrent');
    await writeFile(file, torrent.raw);
    const folder = join(daemon.downloads, 'Elsewhere');
    await mkdir(folder);
    await writeFile(join(folder, 'a.bin'), data);
    const [added] = await client.add([{ metainfo: parseMetainfo(torrent.raw), directory: daemon.downloads }]);
    assert.equal(added?.outcome, 'added');
    await client.start([torrent.infoHash]);
    const state = async () => (await client.list([torrent.infoHash]))[0];
    await waitUntil('it seeds', async () => (await state())?.activity === 'seeding');
    const add = async (): Promise<unknown[]> => {
      const { code, stdout } = await autotorrent.run('-l', 'transmission', '--json', 'add', file);
      const [outcome] = JSON.parse(stdout) as AddOutcome[];
      return [code, outcome?.status, outcome?.reason];
    };
    assert.deepEqual(await add(), [0, 'Seeded', 'Already seeded']);
    await rm(folder, { recursive: true });
    await client.recheck([torrent.infoHash]);
    await waitUntil('it is in error', async () => (await state())?.activity === 'error');
    const [code, status, reason] = await add();
    assert.deepEqual([code, status], [0, 'Seeded']);
    assert.match(String(reason), /^Already seeded.*in error.*No data found/);
    // `--force` is for what it has from the mount.
    assert.deepEqual((await autotorrent.run('-l', 'transmission', 'add', '--force', file)).code, 0);
    assert.equal((await state())?.directory, daemon.downloads);
  });
});
