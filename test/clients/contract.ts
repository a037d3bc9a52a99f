/** The contract of every client adapter, tried against the real client. An adapter's own test is a few lines. */
import assert from 'node:assert/strict';
import { renameSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TorrentActivity, TorrentClient } from '../../src/clients/client.ts';
import type { Metainfo } from '../../src/metainfo/metainfo.ts';
import type { ClientDaemon } from '../harness/client-daemon.ts';
import { freePort, waitUntil } from '../harness/daemon.ts';
import { bencoded, type TorrentContent, type TorrentOptions } from '../harness/make-torrent.ts';
import { ANNOUNCE, addOne, bytes, lay, reaches, sample, seeded, stateOf } from './steps.ts';
import type { Subject } from './subject.ts';

/** A file of this size takes a client long enough to check for the check to be seen. */
const CHECKED_BYTES = 96 * 1024 * 1024;
/** Most of a test is waiting for its client: so many run at once, each with torrents and a folder of its own. */
const AT_ONCE = 4;

export function clientContract(subject: Subject): void {
  const title = subject.title ?? subject.name;
  describe(`${title} as a torrent client`, { concurrency: 1 }, () => {
    let daemon: ClientDaemon;
    let client: TorrentClient;
    let folders = 0;
    /** Makes a folder for one test's data. */
    const place = async (): Promise<string> => {
      const folder = join(daemon.folder, 'data', `${++folders} 50% ü`);
      await mkdir(folder, { recursive: true });
      return folder;
    };

    before(async () => {
      daemon = await subject.start();
      client = subject.connect(daemon.url);
    });
    after(async () => {
      await client?.close();
      await daemon?.stop();
    });

    // By itself, and first: Deluge's web interface loses calls that come while it learns the methods of the Label plugin.
    it('labels what it adds', async () => {
      for (const label of ['plain', 'with space / slash & 100% <ü> "日本" 😀']) {
        const labelled = subject.connectLabelled(daemon.url, label);
        const metainfo = sample({ name: `labelled ${label.length}`, content: bytes(100, label.length) });
        assert.deepEqual(await addOne(labelled, { metainfo, directory: await place() }), { outcome: 'added' });
        const wanted = subject.labelled?.(label) ?? label;
        assert.equal(await subject.labelOf(daemon.url, metainfo.infoHash), wanted);
      }
    });

    describe('side by side', { concurrency: subject.sideBySide === false ? 1 : AT_ONCE }, () => {
      it('says what it is', async () => {
        const description = await client.describe();
        assert.equal(description.name, subject.name);
        assert.match(description.version, /^\d+\.\d+/);
      });

      it('adds a folder of files stopped, starts it, and stops it', async () => {
        const directory = await place();
        const options: TorrentOptions = {
          name: 'some folder',
          content: [
            { path: ['a.bin'], data: bytes(40_000, 1) },
            { path: ['sub', 'deep', 'b.bin'], data: bytes(50_000, 2) },
            { path: ['empty'], data: Buffer.alloc(0) },
          ],
        };
        const metainfo = sample(options);
        await lay(directory, options);
        assert.deepEqual(await addOne(client, { metainfo, directory }), { outcome: 'added' });
        const stopped = await reaches(client, metainfo.infoHash, 'stopped');
        assert.equal(stopped.name, 'some folder');
        assert.equal(stopped.infoHash, metainfo.infoHash);
        assert.equal(stopped.message, undefined);
        assert.equal(stopped.directory, directory);
        assert.deepEqual(await client.start([metainfo.infoHash]), [metainfo.infoHash]);
        assert.equal((await reaches(client, metainfo.infoHash, 'seeding')).progress, 1);
        assert.deepEqual(await client.stop([metainfo.infoHash]), [metainfo.infoHash]);
        assert.equal((await reaches(client, metainfo.infoHash, 'stopped')).progress, 1);
        assert.deepEqual(await client.start([metainfo.infoHash]), [metainfo.infoHash]);
        await reaches(client, metainfo.infoHash, 'seeding');
      });

      it('starts what was stopped a moment ago', async () => {
        const directory = await place();
        const options: TorrentOptions = { name: 'stopped and started', content: bytes(50_000, 9) };
        const metainfo = await seeded(client, directory, options);
        for (let i = 0; i < 3; i++) {
          await client.stop([metainfo.infoHash]);
          await client.start([metainfo.infoHash]);
        }
        await sleep(1000);
        await reaches(client, metainfo.infoHash, 'seeding');
      });

      it('adds a single file, with names of every script, into a directory of such a name', async () => {
        const directory = join(await place(), 'путь 路径 😀', 'quo\'te "double" $x, y; \\ z');
        const options: TorrentOptions = { name: 'é ü 日本語 кот.bin', content: bytes(30_000, 3) };
        const { infoHash } = await seeded(client, directory, options);
        // Some clients spell characters beyond U+FFFF otherwise.
        const told = (await stateOf(client, infoHash)).directory ?? '';
        assert.ok(told.startsWith(join(daemon.folder, 'data')), told);
      });

      it('tells the names it will look for, and looks for them', async () => {
        const directory = await place();
        const content = subject.unusualNames.map(([own], i) => ({ path: [own], data: bytes(20_000, i) }));
        const options: TorrentOptions = { name: 'unusual', content };
        const metainfo = sample(options);
        const result = await addOne(client, { metainfo, directory });
        const used = subject.unusualNames.map(([own, used = own]) => ['unusual', used]);
        const changed = subject.unusualNames.some(([, used]) => used !== undefined);
        assert.deepEqual(result, changed ? { outcome: 'added', names: used } : { outcome: 'added' });
        // The client's own check has found nothing by now; under these names it must find everything.
        await reaches(client, metainfo.infoHash, 'stopped');
        await lay(directory, options, used);
        await client.start([metainfo.infoHash]);
        await reaches(client, metainfo.infoHash, 'seeding');
      });

      it('says of a torrent that it is there already, and leaves it as it is', async () => {
        const directory = await place();
        const options: TorrentOptions = { name: 'twice', content: bytes(20_000, 4) };
        const metainfo = await seeded(client, directory, options);
        const again = subject.connectLabelled(daemon.url, 'another');
        assert.deepEqual(await addOne(again, { metainfo, directory: await place() }), { outcome: 'exists' });
        assert.equal((await stateOf(client, metainfo.infoHash)).activity, 'seeding');
        assert.notEqual(await subject.labelOf(daemon.url, metainfo.infoHash), 'another');
      });

      it('removes a torrent and leaves its data', async () => {
        const directory = await place();
        const options: TorrentOptions = { name: 'to remove', content: bytes(20_000, 5) };
        const metainfo = await seeded(client, directory, options);
        assert.deepEqual(await client.remove([metainfo.infoHash]), [metainfo.infoHash]);
        assert.deepEqual(await client.list([metainfo.infoHash]), []);
        assert.deepEqual(await readFile(join(directory, 'to remove')), options.content);
        assert.deepEqual(await addOne(client, { metainfo, directory }), { outcome: 'added' }, 'can be added again');
      });

      it('removes a torrent with its data, where the client can delete that', async () => {
        const directory = await place();
        const options: TorrentOptions = { name: 'to delete', content: [{ path: ['a.bin'], data: bytes(20_000, 15) }] };
        const metainfo = await seeded(client, directory, options);
        assert.deepEqual(await client.remove([metainfo.infoHash], { withData: true }), [metainfo.infoHash]);
        assert.deepEqual(await client.list([metainfo.infoHash]), []);
        const left = async (): Promise<number> => (await readdir(directory)).length;
        if (subject.deletesData) await waitUntil('its data is gone', async () => (await left()) === 0);
        else assert.equal(await left(), 1);
      });

      it('downloads what is missing of a torrent, and nothing else', async () => {
        const directory = await place();
        const content = Array.from({ length: 4 }, (_, i) => ({ path: [`${i}.bin`], data: bytes(65_536, 20 + i) }));
        const metainfo = sample({ name: 'partial', content });
        await lay(directory, { name: 'partial', content: content.slice(0, 3) });
        assert.deepEqual(await addOne(client, { metainfo, directory }), { outcome: 'added' });
        await client.start([metainfo.infoHash]);
        await waitUntil('three quarters are there', async () => {
          const { activity, progress } = await stateOf(client, metainfo.infoHash);
          return activity === 'downloading' && progress === 0.75;
        });
        for (const { path, data } of content.slice(0, 3)) {
          assert.deepEqual(await readFile(join(directory, 'partial', ...path)), data);
        }
        await client.stop([metainfo.infoHash]);
        await lay(directory, { name: 'partial', content });
        await client.recheck([metainfo.infoHash]);
        await waitUntil('all is there', async () => (await stateOf(client, metainfo.infoHash)).progress === 1);
      });

      it('checks again when told to', async () => {
        const directory = await place();
        const options: TorrentOptions = { name: 'to check', content: bytes(64_000, 6) };
        const metainfo = await seeded(client, directory, options);
        await client.stop([metainfo.infoHash]);
        await reaches(client, metainfo.infoHash, 'stopped');
        await writeFile(join(directory, 'to check'), bytes(64_000, 7));
        assert.deepEqual(await client.recheck([metainfo.infoHash]), [metainfo.infoHash]);
        await waitUntil('the damage is found', async () => (await stateOf(client, metainfo.infoHash)).progress === 0);
      });

      it('tells of an error, and what the client says of it', async () => {
        const directory = await place();
        const options: TorrentOptions = { name: 'in error', content: bytes(64_000, 11) };
        const metainfo = await seeded(client, directory, options);
        await client.stop([metainfo.infoHash]);
        await reaches(client, metainfo.infoHash, 'stopped');
        await rm(join(directory, 'in error'));
        if (subject.inError.file === 'a folder') await mkdir(join(directory, 'in error'));
        await client.recheck([metainfo.infoHash]);
        await sleep(1000);
        await client.start([metainfo.infoHash]);
        const { message } = await reaches(client, metainfo.infoHash, 'error');
        assert.match(message ?? '', subject.inError.says);
        // In one step: a check that is still to come would find nothing in between.
        await lay(join(directory, 'ready'), options);
        if (subject.inError.file === 'a folder') renameSync(join(directory, 'in error'), join(directory, 'aside'));
        renameSync(join(directory, 'ready', 'in error'), join(directory, 'in error'));
        await client.start([metainfo.infoHash]);
        // Deluge says for a moment that it seeds, and still that nothing is there.
        await waitUntil('it seeds', async () => {
          const { activity, progress } = await stateOf(client, metainfo.infoHash);
          return activity === 'seeding' && progress === 1;
        });
      });

      for (const [what, missing] of [
        ['all of which is verified', undefined],
        ['of which a piece is a gap', 5],
      ] as const) {
        const whole = missing === undefined;
        const believed = subject.takesWord === 'with gaps' || (subject.takesWord === 'whole' && whole);
        it(`${believed ? 'takes' : 'does not take'} our word for a torrent ${what}, and says so`, async () => {
          const options: TorrentOptions = { name: what, content: bytes(8 * 16_384, 4), pieceLength: 16_384 };
          const metainfo = sample(options);
          assert.equal(client.takesWord(metainfo, whole), believed);
          const directory = await place();
          // Other bytes: a check finds nothing.
          await lay(directory, { ...options, content: bytes(8 * 16_384, 5) });
          const { mtimeMs } = await stat(join(directory, what));
          const bit = whole ? 0 : 0x80 >> missing;
          const files = [{ state: 'known' as const, mtimeMs }];
          const resume = { files, verified: Buffer.of(0xff & ~bit), gaps: Buffer.of(bit) };
          assert.deepEqual(await addOne(client, { metainfo, directory, resume }), { outcome: 'added' });
          await client.start([metainfo.infoHash]);
          const { progress } = await reaches(client, metainfo.infoHash, whole && believed ? 'seeding' : 'downloading');
          assert.equal(progress, believed ? (whole ? 1 : 7 / 8) : 0);
          await client.remove([metainfo.infoHash]);
        });
      }

      it('checks a piece that is neither verified nor a gap', async () => {
        const options: TorrentOptions = { name: 'one unverified', content: bytes(8 * 16_384, 4), pieceLength: 16_384 };
        const metainfo = sample(options);
        const directory = await place();
        await lay(directory, { ...options, content: bytes(8 * 16_384, 5) });
        const { mtimeMs } = await stat(join(directory, 'one unverified'));
        const files = [{ state: 'unchecked' as const, mtimeMs }];
        const resume = { files, verified: Buffer.of(0xfb), gaps: Buffer.of(0) };
        assert.deepEqual(await addOne(client, { metainfo, directory, resume }), { outcome: 'added' });
        await client.start([metainfo.infoHash]);
        assert.equal((await reaches(client, metainfo.infoHash, 'downloading')).progress, 0);
        await client.remove([metainfo.infoHash]);
      });

      it('shows a check as a check, from the start until the client knows what is there', async () => {
        const directory = await place();
        const content = Buffer.alloc(CHECKED_BYTES);
        const metainfo = sample({ name: 'large', content, pieceLength: 1024 * 1024 });
        // A file of holes: it takes no room on the disk.
        await writeFile(join(directory, 'large'), '');
        await truncate(join(directory, 'large'), CHECKED_BYTES);
        assert.deepEqual(await addOne(client, { metainfo, directory }), { outcome: 'added' });
        await client.start([metainfo.infoHash]);
        const seen = new Set<TorrentActivity>();
        await waitUntil('it seeds', async () => {
          const { activity, progress } = await stateOf(client, metainfo.infoHash);
          seen.add(activity);
          if (activity === 'seeding') assert.equal(progress, 1);
          return activity === 'seeding';
        });
        const wrong = [...seen].filter((activity) => !['checking', 'queued', 'seeding'].includes(activity));
        assert.deepEqual(wrong, []);
        // On a busy machine a check may be over before the client is asked.
        await waitUntil('a check shows', async () => {
          await client.recheck([metainfo.infoHash]);
          return (await stateOf(client, metainfo.infoHash)).activity === 'checking';
        });
        await reaches(client, metainfo.infoHash, 'seeding');
      });

      it('says false of a torrent it does not have', async () => {
        const absent = 'ab'.repeat(20);
        assert.deepEqual(await client.start([absent]), []);
        assert.deepEqual(await client.stop([absent]), []);
        assert.deepEqual(await client.recheck([absent]), []);
        assert.deepEqual(await client.remove([absent]), []);
        assert.deepEqual(await client.list([absent]), []);
        assert.deepEqual(await client.list([]), []);
      });

      it('lists hundreds at once, or those asked for', async () => {
        const directory = await place();
        const all = Array.from({ length: 300 }, (_, i) => sample({ name: `listed ${i}`, content: bytes(10, i) }));
        const added = await client.add(all.map((metainfo) => ({ metainfo, directory })));
        assert.deepEqual(
          added,
          all.map(() => ({ outcome: 'added' })),
        );
        const listed = new Map((await client.list()).map((state) => [state.infoHash, state]));
        for (const { infoHash, name } of all) assert.equal(listed.get(infoHash)?.name, name);
        for (const count of [3, 200]) {
          const asked = all.slice(0, count).map(({ infoHash }) => infoHash);
          const found = await client.list([...asked, 'cd'.repeat(20)]);
          assert.deepEqual(found.map(({ infoHash }) => infoHash).toSorted(), asked.toSorted());
        }
      });

      it('says that it cannot take a v2 torrent', { skip: subject.takesV2 }, async () => {
        const raw = bencoded({
          announce: ANNOUNCE,
          info: {
            'file tree': { f: { '': { length: 5, 'pieces root': Buffer.alloc(32, 1) } } },
            'meta version': 2,
            name: 'f',
            'piece length': 16_384,
          },
        });
        const metainfo: Metainfo = { ...sample({ name: 'f', content: bytes(5, 1) }), raw, version: 'v2' };
        await assert.rejects(addOne(client, { metainfo, directory: daemon.downloads }), {
          code: 'UNSUPPORTED',
          message: /v2/,
        });
      });

      it('says what is wrong with a connection', async () => {
        const port = await freePort();
        // The harness has rTorrent on a socket: another address of its scheme does as well.
        const url = daemon.url.startsWith('scgi:') ? 'scgi://127.0.0.1:5000' : daemon.url;
        const closed = url.replace(/:\d+/, `:${port}`);
        await assert.rejects(subject.connect(closed).describe(), { code: 'CLIENT', message: /refused the connection/ });
        const unknown = url.replace('127.0.0.1', 'no-such-host.invalid');
        await assert.rejects(subject.connect(unknown).describe(), {
          code: 'CLIENT',
          message: /host name is not known/,
        });
      });
    });

    // By itself: it keeps the client busy.
    it('adds 10,000 files', async () => {
      const directory = await place();
      const content: TorrentContent[] = Array.from({ length: 10_000 }, (_, i) => ({
        path: [`folder ${i % 20}`, `file ${i}`],
        data: bytes(20, i),
      }));
      await seeded(client, directory, { name: 'many', content });
    });

    // By itself: it counts the client's torrents.
    it('leaves nothing behind of what it refuses, and takes the rest of a batch', async () => {
      const before = (await client.list()).length;
      const good = sample({ name: 'refused', content: bytes(20_000, 8) });
      // A file of a negative length; an info dictionary that is cut off.
      const negative = bencoded({
        announce: ANNOUNCE,
        info: { name: 'refused', 'piece length': 16_384, length: -5, pieces: Buffer.alloc(20) },
      });
      const raws = [Buffer.from('garbage'), Buffer.from('de'), negative, good.raw.subarray(0, -30)];
      const bad = raws.map((raw, i) => ({ ...good, raw, infoHash: `${i}`.repeat(40) }));
      const fine = [1, 2].map((i) => sample({ name: `beside refused ones ${i}`, content: bytes(100, 80 + i) }));
      const [first, second] = fine;
      assert.ok(first && second);
      const directory = await place();
      const results = await client.add([first, ...bad, second].map((metainfo) => ({ metainfo, directory })));
      assert.deepEqual(
        results.map((result) => (result.outcome === 'failed' ? result.error.code : result.outcome)),
        ['added', ...bad.map(() => 'CLIENT'), 'added'],
      );
      assert.equal((await client.list()).length, before + 2);
      const there = fine.map(({ infoHash }) => infoHash);
      assert.deepEqual(await client.remove([...there, 'ef'.repeat(20)]), there);
    });
  });
}
