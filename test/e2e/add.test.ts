/** `add` with everything that a user may hand it: the server and the store are real, the client is `none` or Transmission. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, afterEach, beforeEach, describe, it } from 'node:test';
import { promisify } from 'node:util';
import type { AddOutcome } from '../../src/app/add-outcome.ts';
import type { EntryJson, ListedJson } from '../../src/cli/json.ts';
import { createClient } from '../../src/clients/create.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { waitUntil } from '../harness/daemon.ts';
import { hashTree, temporaryFolder } from '../harness/folder.ts';
import { makeTorrent, type TorrentOptions } from '../harness/make-torrent.ts';
import { startTransmission } from '../harness/transmission.ts';

const exec = promisify(execFile);

describe('add', () => {
  let folder: string;
  let autotorrent: Autotorrent;
  const undo: (() => Promise<unknown>)[] = [];
  const unwind = async (): Promise<void> => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
  };

  const torrent = async (path: string, options: TorrentOptions): Promise<string> => {
    const file = join(folder, path);
    await mkdir(join(file, '..'), { recursive: true });
    await writeFile(file, makeTorrent({ announce: 'http://127.0.0.1:1/announce', ...options }).raw);
    return file;
  };
  const put = async (path: string, data: Buffer): Promise<void> => {
    const file = join(folder, 'disk', path);
    await mkdir(join(file, '..'), { recursive: true });
    await writeFile(file, data);
  };
  const begin = async (options: { client?: string[]; general?: string[] } = {}): Promise<void> => {
    autotorrent = await autotorrentIn({ folder, disks: [join(folder, 'disk')], ...options });
    const { code, stderr } = await autotorrent.run('rebuild');
    assert.equal(code, 0, stderr);
    const server = await autotorrent.mount();
    undo.push(() => server.stop());
  };
  const data = (letter: string, length = 70_000): Buffer => Buffer.alloc(length, letter);

  beforeEach(async () => {
    folder = temporaryFolder('add');
    await mkdir(join(folder, 'disk'));
  });
  afterEach(unwind);
  after(unwind);

  it('takes a torrent once, however often and under whatever name it comes in one call', async () => {
    await put('x/one.bin', data('1'));
    const first = await torrent('one.torrent', { name: 'one.bin', content: data('1') });
    const second = join(folder, 'again.torrent');
    await copyFile(first, second);
    await begin();
    const { code, stdout } = await autotorrent.run('--json', 'add', first, second, first);
    assert.equal(code, 3);
    const words = (JSON.parse(stdout) as AddOutcome[]).map((outcome) => outcome.status);
    assert.deepEqual(words, ['OK', 'Exists', 'Exists']);
  });

  it('gives two torrents of one file name entries of their own', async () => {
    await put('x/one.bin', data('1'));
    await put('x/two.bin', data('2'));
    const first = await torrent('a/same.torrent', { name: 'one.bin', content: data('1') });
    const second = await torrent('b/same.torrent', { name: 'two.bin', content: data('2') });
    await begin();
    assert.equal((await autotorrent.run('add', first, second)).code, 0);
    const entries = (await autotorrent.json('list')) as EntryJson[];
    const hash = entries.find((entry) => entry.torrent_name === 'two.bin')?.info_hash.slice(0, 8) ?? '';
    assert.deepEqual((await readdir(autotorrent.storePath)).toSorted(), ['same', `same [${hash}]`]);
    assert.deepEqual(await readFile(join(autotorrent.storePath, `same [${hash}]`, 'two.bin')), data('2'));
  });

  it('goes on behind torrents that are missing, unreadable or nonsense', async () => {
    await put('x/one.bin', data('1'));
    await mkdir(join(folder, 'in', 'folder.torrent'), { recursive: true });
    await writeFile(join(folder, 'in', 'nonsense.torrent'), 'd4:infoi1ee');
    await torrent('in/one.torrent', { name: 'one.bin', content: data('1') });
    await begin();
    const { code, stdout } = await autotorrent.run('add', 'in', 'nowhere.torrent');
    assert.equal(code, 3);
    assert.match(stdout, /^Found 3 torrent\(s\)\n/);
    assert.match(stdout, /\[Failed\] {13}'nonsense' /);
    assert.match(stdout, /\[OK\] {17}'one' /);
    assert.match(stdout, /\[Failed\] {13}'nowhere' .*no such file/);
  });

  it('refuses what lacks more than the limits, and says how much', async () => {
    await put('x/a.bin', data('a', 100_000));
    const file = await torrent('t.torrent', {
      name: 'T',
      content: [
        { path: ['a.bin'], data: data('a', 100_000) },
        { path: ['b.bin'], data: data('b', 100_000) },
      ],
    });
    await begin();
    const { code, stdout } = await autotorrent.run('add', file);
    assert.equal(code, 3);
    assert.match(stdout, / \[Missing\] {12}'t' Missing files, only 50\.00% found \(100\.0 kB missing\)/);
    assert.deepEqual(await autotorrent.json('list'), []);
  });

  it('dry runs need no server and change nothing', async () => {
    await put('x/one.bin', data('1'));
    const file = await torrent('one.torrent', { name: 'one.bin', content: data('1') });
    autotorrent = await autotorrentIn({ folder, disks: [join(folder, 'disk')] });
    await autotorrent.run('rebuild');
    const before = (await readdir(folder)).toSorted();
    const { code, stdout, stderr } = await autotorrent.run('add', '--dry-run', 'json', file);
    assert.equal(code, 0);
    assert.match(stderr, /Found 1 torrent\(s\)/);
    const [result] = JSON.parse(stdout) as Record<string, unknown>[];
    assert.deepEqual(Object.keys(result ?? {}).slice(0, 5), [
      'torrent',
      'found_bytes',
      'missing_bytes',
      'would_add',
      'local_files',
    ]);
    assert.deepEqual(
      [result?.['found_bytes'], result?.['would_add'], result?.['local_files'], result?.['status']],
      [70_000, true, [join(folder, 'disk', 'x', 'one.bin')], 'OK'],
    );
    assert.deepEqual((await readdir(folder)).toSorted(), before);
  });

  it('finds the configuration by AUTOTORRENT_CONFIG, and takes prefixes of the old flags', async () => {
    await put('x/one.bin', data('1'));
    const file = await torrent('one.torrent', { name: 'one.bin', content: data('1') });
    await begin();
    const env = { ...process.env, AUTOTORRENT_CONFIG: autotorrent.config };
    const { stdout } = await exec(process.execPath, [resolve('dist/src/main.js'), '--reb', '--add', file], {
      cwd: tmpdir(),
      env,
    });
    assert.match(stdout, /Indexed 1 file\(s\)[^]*Found 1 torrent\(s\)\n \[OK\]/);
  });

  it('with exact_target = original points the client at the original, lists it, and deletes nothing of it', async () => {
    const client = await startTransmission({ address: '127.0.0.5' });
    undo.push(() => client.stop());
    await put('done/T/a.bin', data('a'));
    await put('done/T/b.bin', data('b'));
    const file = await torrent('t.torrent', {
      name: 'T',
      content: [
        { path: ['a.bin'], data: data('a') },
        { path: ['b.bin'], data: data('b') },
      ],
    });
    await begin({
      client: ['client = transmission', `url = ${client.url}`],
      general: ['scan_mode = exact', 'exact_target = original'],
    });
    const sources = await hashTree(join(folder, 'disk'));
    const added = await autotorrent.run('add', file);
    assert.equal(added.code, 0, added.stdout + added.stderr);
    await waitUntil('it seeds', async () => {
      const [entry] = (await autotorrent.json('list')) as ListedJson[];
      return entry?.client_state === 'seeding';
    });
    const [entry] = (await autotorrent.json('list')) as ListedJson[];
    assert.equal(entry?.kind, 'external');
    assert.equal(entry.directory, join(folder, 'disk', 'done'));
    assert.deepEqual(await readdir(autotorrent.storePath), []);
    assert.equal((await autotorrent.run('remove', '--from-client', 't')).code, 0);
    assert.deepEqual(await hashTree(join(folder, 'disk')), sources);
  });

  it('leaves a torrent stopped that lacks something where the mount is read-only', async () => {
    const client = await startTransmission({ address: '127.0.0.7' });
    undo.push(() => client.stop());
    await put('x/a.bin', data('a'));
    const file = await torrent('t.torrent', {
      name: 'T',
      content: [
        { path: ['a.bin'], data: data('a') },
        { path: ['b.nfo'], data: data('b', 100) },
      ],
    });
    autotorrent = await autotorrentIn({
      folder,
      disks: [join(folder, 'disk')],
      client: ['client = transmission', `url = ${client.url}`],
    });
    await autotorrent.run('rebuild');
    const server = await autotorrent.mount('--read-only');
    undo.push(() => server.stop());
    const { code, stdout } = await autotorrent.run('add', file);
    assert.equal(code, 0, stdout);
    assert.match(
      stdout,
      /successfully, stopped; 100 bytes missing, 4\.6 kB to download, which a read-only mount cannot/,
    );
    await waitUntil('it is stopped', async () => {
      const [entry] = (await autotorrent.json('list')) as ListedJson[];
      return entry?.client_state === 'stopped';
    });
  });

  it('leaves a torrent stopped with --stopped, and never shows a client names it would not look for', async () => {
    const client = await startTransmission({ address: '127.0.0.6' });
    undo.push(() => client.stop());
    const name = 'What? A "name": <odd>';
    await put(`${name}/a|b.bin`, data('a'));
    const file = await torrent('odd.torrent', { name, content: [{ path: ['a|b.bin'], data: data('a') }] });
    await begin({ client: ['client = transmission', `url = ${client.url}`] });
    const added = await autotorrent.run('add', '--stopped', file);
    assert.equal(added.code, 0, added.stdout + added.stderr);
    const adapter = createClient({ client: 'transmission', url: client.url });
    undo.push(() => adapter.close());
    const [entry] = (await autotorrent.json('list')) as ListedJson[];
    assert.equal(entry?.client_state, 'stopped');
    await adapter.start([entry.info_hash]);
    await waitUntil('it seeds under the names that the client made of them', async () => {
      const [state] = await adapter.list([entry.info_hash]);
      return state?.activity === 'seeding' && state.progress === 1;
    });
  });
});
