/** An entry with names that no disk takes: added, shown, listed, and exported to a disk. */
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { EntryJson, ExportedJson, FileJson } from '../../src/cli/json.ts';
import { bytes } from '../clients/steps.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';

const LONG = `${'n'.repeat(300)}.mkv`;
const FOLDER = `${'é'.repeat(300)} folder`;
const PATHS: readonly (readonly string[])[] = [['short'], [LONG], [FOLDER, LONG], [FOLDER, 'short'], ['below', LONG]];

describe('names that no disk takes', () => {
  let folder: string;
  let autotorrent: Autotorrent;
  let stop: (() => Promise<unknown>) | undefined;
  const content = [
    ...PATHS.map((path, i) => ({ path, data: bytes(40_000, 900 + i) })),
    { path: ['link'], data: Buffer.alloc(0), extra: { attr: 'l', 'symlink path': [FOLDER, LONG] } },
  ];
  const paths = content.map(({ path }) => [LONG, ...path].join('/'));

  before(async () => {
    folder = temporaryFolder('long-names');
    await mkdir(join(folder, 'disk'));
    for (const [i, { data }] of content.entries()) await writeFile(join(folder, 'disk', `${i}`), data);
    await writeFile(join(folder, 'Long.torrent'), makeTorrent({ name: LONG, content }).raw);
    const general = ['scan_mode = exact,unsplitable,normal,hash_size', 'hash_limit = 100, 128 MiB'];
    autotorrent = await autotorrentIn({ folder, disks: [join(folder, 'disk')], general });
    assert.equal((await autotorrent.run('rebuild')).code, 0);
    const server = await autotorrent.mount();
    stop = () => server.stop();
    const added = await autotorrent.run('add', '--verify', 'full', join(folder, 'Long.torrent'));
    assert.equal(added.code, 0, added.stdout + added.stderr);
  });
  after(async () => await stop?.());

  it('are shown as the torrent has them', async () => {
    const { file_list: files } = (await autotorrent.json('show', 'Long')) as { file_list: FileJson[] };
    assert.deepEqual(
      files.map(({ path }) => path),
      paths,
    );
    const [entry] = (await autotorrent.json('list')) as EntryJson[];
    assert.deepEqual([entry?.torrent_name, entry?.missing_bytes, entry?.health], [LONG, 0, 'ok']);
    for (const command of [['list'], ['show', 'Long'], ['verify', 'Long']]) {
      const { code, stderr } = await autotorrent.run(...command);
      assert.equal(code, 0, stderr);
    }
    const top = join(autotorrent.storePath, 'Long', LONG);
    assert.deepEqual((await readdir(top)).toSorted(), ['below', 'link', LONG, 'short', FOLDER].toSorted());
    for (const { path, data } of content) {
      if (data.length > 0) assert.deepEqual(await readFile(join(top, ...path)), data);
    }
    assert.deepEqual(await readFile(join(top, 'link')), content[2]?.data);
  });

  it('are shorter in a copy, which is whole, and says so', async () => {
    const copy = join(folder, 'copy');
    const exported = (await autotorrent.json('overlay', 'export', 'Long', copy)) as ExportedJson;
    assert.deepEqual([exported.files, exported.zero_bytes], [content.length, 0]);
    assert.deepEqual(
      exported.shortened.map(({ path }) => path),
      paths,
    );
    for (const [i, { copy: path }] of exported.shortened.entries()) {
      assert.deepEqual(await readFile(join(copy, path)), content[i === 5 ? 2 : i]?.data);
      for (const name of path.split('/')) assert.ok(Buffer.byteLength(name) <= 255, name);
    }
    const [first] = await readdir(copy);
    assert.match(first ?? '', /^n+~[0-9a-f]{8}\.mkv$/);
    const ours = await stat(join(autotorrent.storePath, 'Long', LONG, FOLDER));
    const theirs = await stat(join(copy, exported.shortened[3]?.copy ?? '', '..'));
    assert.deepEqual([theirs.mode, Math.round(theirs.mtimeMs)], [ours.mode, Math.round(ours.mtimeMs)]);
    const again = await autotorrent.run('overlay', 'export', 'Long', join(folder, 'again'));
    assert.match(again.stdout, /No disk takes the names of 6 file\(s\): they have shorter ones/);
  });
});
