/** The built program on command lines that need no server: words, streams, exit codes. */
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';

interface Failure {
  readonly error: { readonly code: string; readonly message: string; readonly hint?: string };
}

describe('the command line', () => {
  let folder: string;
  let autotorrent: Autotorrent;

  before(async () => {
    folder = temporaryFolder('cli');
    await mkdir(join(folder, 'disk'));
    await writeFile(join(folder, 'disk', 'film.bin'), Buffer.alloc(50_000, 'film'));
    const { raw } = makeTorrent({ name: 'film.bin', content: Buffer.alloc(50_000, 'film') });
    await writeFile(join(folder, 'film.torrent'), raw);
    await writeFile(join(folder, 'bad.torrent'), 'no torrent');
    autotorrent = await autotorrentIn({ folder, disks: [join(folder, 'disk')] });
    assert.equal((await autotorrent.run('rebuild')).code, 0);
  });

  const wrong: readonly [string[], RegExp][] = [
    [['bogus'], /there is no command bogus/],
    [['lsit'], /there is no command lsit\n {2}did you mean autotorrent list\?/],
    [['x.torrent'], /did you mean autotorrent add x\.torrent\?/],
    [['doctor'], /this version does not have the command doctor yet/],
    [['list', '--bogus'], /unknown option '--bogus'/],
    [['add'], /missing required argument 'torrent'/],
    [['add', '--verify', 'bogus', 'x'], /Allowed choices are auto, none, probe, full/],
    [['add', '--dry-run=bogus', 'x'], /--dry-run takes txt or json, not bogus/],
    [['mount', '--driver', 'kernal'], /'kernal' is invalid/],
    [['-l', 'nobody', 'list'], /has no section \[client-nobody\]/],
    [['test-connection'], /says client = none/],
  ];
  for (const [words, message] of wrong) {
    it(`refuses ${words.join(' ')} with exit code 2, in words and as JSON`, async () => {
      const said = await autotorrent.run(...words);
      assert.equal(said.code, 2);
      assert.equal(said.stdout.replace(/^Found .*\n/, ''), '');
      assert.match(said.stderr, message);
      assert.doesNotMatch(said.stderr, /\bat .*\.js:\d/, 'no stack for what was foreseen');
      const json = await autotorrent.run('--json', ...words);
      assert.equal(json.code, 2);
      const { error } = JSON.parse(json.stdout) as Failure;
      assert.match(error.code, /^(USAGE|CONFIG)$/);
      assert.match(`${error.message}\n  ${error.hint ?? ''}`, message);
    });
  }

  it('prints a failure as JSON where --dry-run json asked for JSON', async () => {
    const { code, stdout } = await autotorrent.run('-c', join(folder, 'nowhere.conf'), 'add', '--dry-run', 'json', 'x');
    assert.equal(code, 2);
    assert.equal((JSON.parse(stdout) as Failure).error.code, 'CONFIG');
  });

  it('has help for a command in both ways', async () => {
    for (const words of [
      ['help', 'add'],
      ['add', '--help'],
    ]) {
      const { code, stdout } = await autotorrent.run(...words);
      assert.equal(code, 0);
      assert.match(stdout, /Examples:[\s\S]*Exit codes:[\s\S]*3 {2}at least one torrent/);
    }
  });

  it('refuses a path that is not there, and indexes nothing', async () => {
    const { code, stderr } = await autotorrent.run('rebuild', 'nowhere');
    assert.equal(code, 1);
    assert.match(stderr, /there is no .*nowhere: nothing was indexed/);
  });

  for (const [key, words] of [
    ['db', ['rebuild']],
    ['state_path', ['mount']],
    ['state_path', ['mount', '--daemon']],
  ] as const) {
    it(`names ${key} where ${words.join(' ')} cannot make it`, async () => {
      const config = join(folder, `${key}.conf`);
      await writeFile(
        config,
        ['[general]', 'store_path = store', `${key} = bad.torrent/below`, '[disks]', 'a = disk', ''].join('\n'),
      );
      const { code, stderr } = await autotorrent.run('-c', config, ...words);
      assert.equal(code, 1);
      assert.match(stderr, /cannot be made: ENOTDIR/);
      assert.match(stderr, new RegExp(`set ${key} to a folder that this user may write to`));
      assert.doesNotMatch(stderr, /\bat .*\.js:\d/);
    });
  }

  it('says what is wrong with a .torrent once', async () => {
    const { code, stdout } = await autotorrent.run('add', '--dry-run', 'bad.torrent', 'gone.torrent', 'film.torrent');
    assert.equal(code, 3);
    assert.match(stdout, /\[Failed\] {13}'bad' Not a valid torrent: byte 0 /);
    assert.match(stdout, /\[Failed\] {13}'gone' Cannot be read: there is no such file\n/);
    assert.match(stdout, /\[OK\] {17}'film' /);
  });

  it('takes global flags before and after the command, and its configuration from the environment', async () => {
    const { code, stdout } = await autotorrent.run('add', 'film.torrent', '--dry-run', '--json', '-l', 'x');
    assert.equal(code, 2);
    assert.match((JSON.parse(stdout) as Failure).error.message, /\[client-x\]/);
  });

  it('prints one document for several of the original flags', async () => {
    const { code, stdout } = await autotorrent.run('-r', '-a', 'film.torrent', '--dry-run', '--json');
    assert.equal(code, 0);
    const document = JSON.parse(stdout) as { rebuild: { files: number }; add: { status: string }[] };
    assert.equal(document.rebuild.files, 1);
    assert.equal(document.add[0]?.status, 'OK');
  });

  it('says what was done before a failure, in its document', async () => {
    const { code, stdout } = await autotorrent.run('-r', '-a', 'film.torrent', '--json');
    assert.equal(code, 1);
    const document = JSON.parse(stdout) as Failure & { rebuild: { files: number } };
    assert.equal(document.error.code, 'SERVER');
    assert.equal(document.rebuild.files, 1);
  });

  it('writes a configuration once', async () => {
    const first = await autotorrent.run('--json', '--create_config', 'new.conf');
    assert.equal(first.code, 0);
    assert.equal((JSON.parse(first.stdout) as { file: string }).file, join(folder, 'new.conf'));
    const second = await autotorrent.run('--create_config', 'new.conf');
    assert.equal(second.code, 2);
    assert.match(second.stderr, /already exists, not creating/);
  });
});
