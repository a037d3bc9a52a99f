/** `autotorrent explain`, as a user runs it: torrents that do not match, and paths; without a server, and with one. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { ExplainedPathJson, ExplainedTorrentJson } from '../../src/cli/json.ts';
import { FILE_CODES } from '../../src/plan/file-code.ts';
import { writeRar5 } from '../container/rar-writer.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import type { Daemon } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';

const PIECE = 16_384;
const FILM = randomBytes(4 * PIECE);
const OTHER = randomBytes(4 * PIECE);
const NFO = randomBytes(2 * PIECE);

describe('explain', () => {
  const folder = temporaryFolder('explain');
  const disk = join(folder, 'disk');
  let autotorrent: Autotorrent;

  const put = (path: string, content: Buffer): string => {
    const file = join(disk, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    // A minute old: nothing of it grows.
    const past = Date.now() / 1000 - 60;
    utimesSync(file, past, past);
    return file;
  };
  const torrent = (name: string, content: Buffer | Record<string, Buffer>): string => {
    const path = join(folder, `${name}.torrent`);
    const whole = Buffer.isBuffer(content)
      ? content
      : Object.entries(content).map(([file, data]) => ({ path: [file], data }));
    writeFileSync(path, makeTorrent({ name, content: whole, pieceLength: PIECE }).raw);
    return path;
  };
  const run = async <T>(code: number, ...args: readonly string[]): Promise<T> => {
    const { code: ended, stdout, stderr } = await autotorrent.run('--json', 'explain', ...args);
    assert.equal(ended, code, stdout + stderr);
    return JSON.parse(stdout) as T;
  };
  const ofTorrent = async (code: number, path: string): Promise<ExplainedTorrentJson> => await run(code, path);
  const ofPath = async (code: number, path: string): Promise<ExplainedPathJson> => await run(code, join(disk, path));
  const codesOf = ({ files }: ExplainedTorrentJson): unknown[] =>
    files.flatMap(({ candidates }) => candidates.map(({ source, code }) => [source.slice(disk.length + 1), code]));

  before(async () => {
    mkdirSync(disk, { recursive: true });
    autotorrent = await autotorrentIn({
      folder,
      disks: [disk],
      general: ['ignore_files = *.nfo', 'add_limit_size = 100'],
    });
  });

  it('says what to do where there is no index', async () => {
    for (const path of [torrent('film.mkv', FILM), disk]) {
      const { code, stdout } = await autotorrent.run('--json', 'explain', path);
      assert.equal(code, 1);
      assert.match(JSON.parse(stdout).error.hint, /autotorrent rebuild/);
    }
  });

  describe('of a torrent', () => {
    before(async () => {
      put('whole/whole.mkv', FILM);
      put('wrong/wrong.mkv', OTHER);
      put('short/short.mkv', FILM.subarray(0, 1000));
      put('long/Long_mkv', Buffer.concat([FILM, Buffer.alloc(1)]));
      put('renamed/abc.bin', NFO);
      put('ignored/film.nfo', NFO.subarray(1));
      put('gone/gone.mkv', OTHER);
      symlinkSync('nowhere', join(disk, 'linked.mkv'));
      const packed = writeRar5([{ name: 'packed.mkv', data: OTHER.subarray(0, 3 * PIECE) }])[0];
      put('packed/x.rar', packed!);
      assert.equal((await autotorrent.run('rebuild')).code, 0);
      rmSync(join(disk, 'gone'), { recursive: true });
    });

    it('that matches', async () => {
      const {
        status,
        incomplete_files: incomplete,
        files,
        missing_bytes: missing,
      } = await ofTorrent(0, torrent('whole.mkv', FILM));
      assert.deepEqual([status, incomplete, files, missing], ['OK', 0, [], 0]);
    });

    for (const [name, content, code, candidates] of [
      [
        'wrong.mkv',
        FILM,
        'hash-mismatch',
        [
          ['wrong/wrong.mkv', 'hash-mismatch'],
          ['whole/whole.mkv', 'no-candidate'],
        ],
      ],
      ['short.mkv', FILM, 'no-candidate', [['short/short.mkv', 'size']]],
      ['long.mkv', FILM, 'no-candidate', [['long/Long_mkv', 'size']]],
      ['other name.mkv', NFO, 'no-candidate', [['renamed/abc.bin', 'no-candidate']]],
      ['film.nfo', NFO.subarray(1), 'ignored', [['ignored/film.nfo', 'ignored']]],
      ['film.nfo', NFO, 'no-candidate', [['ignored/film.nfo', 'ignored']]],
      ['linked.mkv', FILM, 'link', [['linked.mkv', 'link']]],
      ['gone.mkv', OTHER, 'changed', [['gone/gone.mkv', 'changed']]],
      ['packed.mkv', FILM.subarray(0, 3 * PIECE), 'hash-mismatch', [['packed/x.rar', 'hash-mismatch']]],
      ['nothing like it', randomBytes(77), 'no-candidate', []],
    ] as const) {
      it(`whose file is ${code}: ${name}, ${content.length} bytes`, async () => {
        const path = torrent(name, content);
        const found = await ofTorrent(3, path);
        assert.deepEqual([found.status, found.incomplete_files], ['Missing', 1]);
        assert.equal(found.files[0]?.code, code, JSON.stringify(found.files));
        for (const one of candidates)
          assert.ok(JSON.stringify(codesOf(found)).includes(JSON.stringify(one)), JSON.stringify(codesOf(found)));
        assert.deepEqual(codesOf(found)[0], candidates[0]);
        for (const [, one] of codesOf(found) as [string, string][])
          assert.ok((FILE_CODES as readonly string[]).includes(one));
        if (content === FILM) return;
        const { stdout, code: ended } = await autotorrent.run('explain', path);
        assert.equal(ended, 3);
        for (const [source, one] of candidates) {
          assert.ok(
            stdout.split('\n').some((line) => line.includes(source) && line.endsWith(`(${one})`)),
            stdout,
          );
        }
        if (candidates.length === 0) assert.match(stdout, /Nothing in the index comes near it/);
      });
    }

    it('by how many bytes a size differs', async () => {
      const sentence = async (name: string): Promise<string | undefined> =>
        (await ofTorrent(3, torrent(name, FILM))).files[0]?.candidates.find(({ code }) => code === 'size')?.reason;
      assert.equal(await sentence('long.mkv'), 'has its name, but 1 byte more');
      assert.equal(await sentence('short.mkv'), `has its name, but ${FILM.length - 1000} bytes fewer`);
    });

    it('that is none, or is not there', async () => {
      writeFileSync(join(folder, 'none.torrent'), 'text');
      for (const path of ['none.torrent', 'nowhere.torrent']) {
        const { code, stdout } = await autotorrent.run('--json', 'explain', path);
        assert.equal(code, 1);
        assert.equal(JSON.parse(stdout).error.code, 'TORRENT');
      }
    });

    it('with a hostile name', async () => {
      const { stdout } = await autotorrent.run('explain', torrent('T', { '\u001b[31mred\u202e.mkv': FILM }));
      assert.ok(!stdout.includes('\u001b') && !stdout.includes('\u202e'));
      assert.match(stdout, /\\x1b\[31mred/);
    });
  });

  describe('of a path', () => {
    for (const [path, code, kind, indexed, says] of [
      ['whole/whole.mkv', undefined, 'file', true, /^is indexed with 65536 bytes$/],
      ['whole', undefined, 'folder', true, /^is an indexed folder$/],
      ['.', undefined, 'folder', true, /^is an indexed folder$/],
      ['ignored/film.nfo', 'ignored', 'file', true, /^is ignored: ignore_files/],
      ['linked.mkv', 'link', 'other', false, /^was a symbolic link/],
      ['gone/gone.mkv', 'changed', 'nothing', true, /is not there any more/],
      ['nowhere/x', 'not-indexed', 'nothing', false, /^is not there, and was not/],
      ['../film.mkv.torrent.d', 'not-indexed', 'nothing', false, /^lies below no disk/],
    ] as const) {
      it(`that is ${code ?? `an indexed ${kind}`}: ${path}`, async () => {
        const found = await ofPath(code === undefined ? 0 : 3, path);
        assert.deepEqual([found.code, found.kind, found.indexed], [code, kind, indexed]);
        assert.match(found.reason, says);
        assert.deepEqual(found.uses, [], 'there is no store yet');
      });
    }

    it('that came after the rebuild, changed, or lies below a link', async () => {
      put('new/new.mkv', OTHER);
      const appeared = await ofPath(3, 'new/new.mkv');
      assert.deepEqual([appeared.code, appeared.indexed], ['not-indexed', false]);
      assert.match(appeared.reason, /^was not there at the last rebuild/);
      put('short/short.mkv', FILM.subarray(0, 1001));
      const changed = await ofPath(3, 'short/short.mkv');
      assert.equal(changed.code, 'changed');
      assert.match(changed.reason, /^is indexed with 1000 bytes, but has 1001 bytes now/);
      symlinkSync('whole', join(disk, 'way'));
      assert.equal((await ofPath(3, 'way/whole.mkv')).code, 'link');
    });

    it('in sentences, before there is a store', async () => {
      const { stdout, code } = await autotorrent.run('explain', join(disk, 'whole/whole.mkv'));
      assert.equal(code, 0);
      assert.match(
        stdout,
        /whole\.mkv is indexed with 65536 bytes\n {2}It has 65536 bytes now\.\n {2}No entry uses it/,
      );
    });
  });

  describe('with a server', () => {
    let server: Daemon | undefined;
    before(async () => {
      put('used/used.mkv', FILM);
      assert.equal((await autotorrent.run('rebuild')).code, 0);
      server = await autotorrent.mount();
    });
    after(() => server?.stop());

    it('names the entries that use a path, and those whose gaps it fills', async () => {
      const extra = randomBytes(2 * PIECE);
      const path = torrent('Pack', { 'used.mkv': FILM, 'extra.bin': extra });
      const { code, stdout } = await autotorrent.run('add', '--no-client', path);
      assert.equal(code, 3, stdout);
      const conf = await autotorrentIn({
        folder,
        disks: [disk],
        general: ['ignore_files = *.nfo', 'add_limit_percent = 90'],
      });
      assert.equal((await conf.run('add', '--no-client', path)).code, 0);
      const used = await ofPath(0, 'used/used.mkv');
      const whole = await ofPath(0, 'whole/whole.mkv');
      // Two files have its bytes.
      const [one, other] = [used, whole].toSorted((a, b) => (b.uses?.length ?? 0) - (a.uses?.length ?? 0));
      assert.deepEqual(
        one?.uses?.map(({ entry, sources }) => [entry, sources]),
        [['Pack', 1]],
      );
      assert.deepEqual(other?.uses, []);
      assert.deepEqual(one?.fits, []);
      const above = await ofPath(0, '.');
      assert.deepEqual(above.uses?.length, 1);

      // It came since, under another name.
      put('late/whatever.bin', extra);
      put('late/wrong.bin', OTHER.subarray(0, extra.length));
      const late = await ofPath(3, 'late/whatever.bin');
      assert.equal(late.code, 'not-indexed');
      assert.deepEqual(
        late.fits?.map(({ entry, file, bytes }) => [entry, file, bytes]),
        [['Pack', 'extra.bin', extra.length]],
      );
      assert.deepEqual((await ofPath(3, 'late/wrong.bin')).fits, []);
      const { stdout: shown } = await autotorrent.run('explain', join(disk, 'late/whatever.bin'));
      assert.match(shown, /'Pack' lacks 32\.8 kB of extra\.bin, which it has/);

      await server?.stop();
      server = undefined;
      const stopped = await Promise.all([ofPath(0, 'used/used.mkv'), ofPath(0, '.'), ofPath(3, 'late/whatever.bin')]);
      assert.deepEqual(stopped, [used, above, late], 'the same without a server');
      assert.equal((await autotorrent.run('list')).code, 1, 'no server runs');
      server = await autotorrent.mount();
      assert.deepEqual(await ofPath(3, 'late/whatever.bin'), late, 'nor does it keep one from starting');
    });
  });

  it('has help with examples', async () => {
    const { stdout, code } = await autotorrent.run('explain', '--help');
    assert.equal(code, 0);
    for (const word of ['Examples:', 'Exit codes:', '3  the torrent would end Missing'])
      assert.ok(stdout.includes(word));
  });
});
