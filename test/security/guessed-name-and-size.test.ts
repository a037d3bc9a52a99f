/**
 * A stranger's torrent names a private file of the collection by its name and size, beside bytes that nobody has, so that
 * no piece of it can be hashed. Nothing of the file may get into the mount.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import type { FileJson, VerifiedJson } from '../../src/cli/json.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import type { Daemon } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { libtorrentOf } from '../harness/libtorrent.ts';
import { makeTorrent } from '../harness/make-torrent.ts';

const HEAD = '-----BEGIN OPENSSH PRIVATE KEY-----\n';
const secret = (name: string): Buffer => Buffer.from(`${HEAD}the secret of ${name}`.padEnd(411, ` ${name}`));

const PIECE = 16_384;
const UNKNOWN = Buffer.alloc(100, 'unknown');
/** A file that the stranger has, too. */
const PUBLIC = Buffer.alloc(PIECE - HEAD.length, 'public');
const MANY = Array.from({ length: 60 }, (_, i) => `key${i}`);

/** What the stranger guesses of a private file: its size, and how such files begin. */
const guess = (): Buffer => Buffer.from(HEAD.padEnd(411, '?'));

type Guessed = readonly (readonly [name: string, data: Buffer])[];
const key = (name: string) => [name, guess()] as const;
const unknown = (name = 'unknown.bin') => [name, UNKNOWN] as const;

const TORRENTS: Readonly<Record<string, { readonly files: Guessed; readonly piece?: number }>> = {
  before: { files: [key('id_rsa'), unknown()] },
  between: { files: [unknown('a'), key('id_rsa'), unknown('z')] },
  hugePieces: { files: [key('id_rsa'), unknown()], piece: 16 * 1024 * 1024 },
  smallPieces: { files: [key('id_rsa'), unknown()], piece: 256 },
  many: { files: MANY.flatMap((name) => [key(name), unknown(`${name}.unknown`)]), piece: 1024 * 1024 },
  release: { files: [key('Release.rar'), key('Release.r00'), key('Release.sfv'), unknown('Release.nfo')] },
  // The piece that proves the public file holds the beginning of the private one, which everybody knows.
  besideProven: { files: [['public.bin', PUBLIC], key('id_rsa'), unknown()] },
};

const DEFAULT_MODES = 'unsplitable,normal';
const ALL_MODES = 'exact,unsplitable,normal,hash_name,hash_size,hash_slow';

describe('a torrent with the guessed name and size of a private file', () => {
  let folder: string;
  let autotorrent: Autotorrent;
  let server: Daemon;
  const torrents: string[] = [];
  const names: string[] = [];

  before(async () => {
    folder = temporaryFolder('guessed');
    const write = (path: string, data: Buffer): void => {
      mkdirSync(join(folder, path, '..'), { recursive: true });
      writeFileSync(join(folder, path), data);
    };
    for (const name of ['id_rsa', ...MANY]) write(`disk/private/${name}`, secret(name));
    for (const end of ['rar', 'r00', 'sfv']) write(`disk/Release/Release.${end}`, secret(`Release.${end}`));
    write('disk/public.bin', PUBLIC);
    const torrent = (name: string, raw: Buffer): void => {
      const path = join(folder, 'torrents', `${name}.torrent`);
      write(`torrents/${name}.torrent`, raw);
      torrents.push(path);
      names.push(name);
    };
    for (const [name, { files, piece = PIECE }] of Object.entries(TORRENTS)) {
      const content = files.map(([path, data]) => ({ path: [path], data }));
      torrent(name, makeTorrent({ name: 'Release', content, pieceLength: piece }).raw);
    }
    write('guessed/Release/id_rsa', guess());
    write('guessed/Release/unknown.bin', UNKNOWN);
    for (const version of ['v2', 'hybrid'] as const) {
      torrent(version, libtorrentOf(join(folder, 'guessed', 'Release'), version, PIECE));
    }
    autotorrent = await autotorrentIn({
      folder,
      disks: [join(folder, 'disk')],
      general: ['add_limit_percent = 100', 'add_limit_size = 1 GB'],
    });
    for (const modes of [DEFAULT_MODES, ALL_MODES, ...ALL_MODES.split(',')]) {
      const text = readFileSync(autotorrent.config, 'utf8').replace('[disks]', `scan_mode = ${modes}\n[disks]`);
      writeFileSync(configWith(modes), text);
    }
    const { code, stderr } = await autotorrent.run('rebuild');
    assert.equal(code, 0, stderr);
    server = await autotorrent.mount();
  });
  afterEach(async () => {
    const entries = (await autotorrent.json('list')) as { name: string }[];
    if (entries.length > 0) await autotorrent.json('remove', ...entries.map(({ name }) => name));
  });
  after(async () => await server.stop());

  const configWith = (modes: string): string => join(folder, `${modes}.conf`);

  /** Reads everything that the mount shows of an entry. */
  const shown = async (name: string): Promise<Buffer> => {
    const entry = join(autotorrent.storePath, name);
    const found = await readdir(entry, { recursive: true, withFileTypes: true });
    const files = found.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name));
    assert.ok(files.length > 1);
    return Buffer.concat(await Promise.all(files.map(async (path) => await readFile(path))));
  };

  const planned = async (modes: string, verify: string): Promise<DryRunJson[]> => {
    const args = ['-c', configWith(modes), 'add', '--dry-run', 'json', '--verify', verify, ...torrents];
    const { stdout, stderr } = await autotorrent.run(...args);
    assert.notEqual(stdout, '', stderr);
    return JSON.parse(stdout) as DryRunJson[];
  };

  const isPrivate = ({ path }: { readonly path: string }): boolean => /id_rsa|key\d+$|rar|r00|sfv/.test(path);

  for (const verify of ['auto', 'probe', 'full']) {
    for (const modes of [DEFAULT_MODES, ALL_MODES]) {
      it(`gets none of its bytes with verify = ${verify}, scan_mode = ${modes}`, async () => {
        for (const [i, { files }] of (await planned(modes, verify)).entries()) {
          const name = names[i] ?? '';
          for (const { path, status, code, refused } of files.filter(isPrivate)) {
            const why = `${name}: ${path}: ${status}, ${code}`;
            assert.equal(status, name === 'besideProven' ? 'partial' : 'missing', why);
            // These have pieces of their own, which were hashed: `hash_limit` may end the search for others.
            const hashed = ['v2', 'hybrid', 'smallPieces'].includes(name);
            if (hashed) assert.match(code, /^(hash-mismatch|limit)$/, why);
            else assert.equal(code, 'unproven', why);
            if (status === 'missing') assert.ok(refused.length > 0, why);
            for (const one of refused) assert.ok(one.source.startsWith(folder), one.source);
          }
        }
        const args = ['-c', configWith(modes), 'add', '--no-client', '--verify', verify, ...torrents];
        const added = await autotorrent.run(...args);
        assert.equal(added.code, 0, added.stdout + added.stderr);
        for (const name of names) {
          const bytes = await shown(name);
          assert.equal(bytes.includes('secret'), false, name);
          assert.equal(bytes.includes(HEAD), name === 'besideProven', name);
        }
        assert.match(added.stdout, /'before' .*unproven: id_rsa is there by name and size, but its bytes could not be/);
        assert.match(added.stdout, /'many' .*unproven: 60 files are there by name and size/);
        const text = await autotorrent.run('show', 'before');
        assert.match(text.stdout, /id_rsa {2}\(411 bytes, missing\)\n {4}unproven: .*no piece proves/);
        const { file_list: files } = (await autotorrent.json('show', 'before')) as { file_list: FileJson[] };
        assert.deepEqual(
          files.map(({ code }) => code),
          ['unproven', 'no-candidate'],
        );
      });
    }
  }

  for (const modes of ALL_MODES.split(',')) {
    it(`maps none of its bytes with scan_mode = ${modes} alone`, async () => {
      const all = await planned(modes, 'full');
      assert.equal(all.length, torrents.length);
      for (const [i, { files, local_files: sources }] of all.entries()) {
        const extents = files.flatMap((file) => file.extents);
        const used = extents.filter(({ source }) => source?.includes('private') === true);
        assert.ok(used.reduce((sum, { length }) => sum + length, 0) <= HEAD.length, names[i]);
        if (names[i] !== 'besideProven') assert.equal(sources.join().includes('private'), false, names[i]);
      }
    });
  }

  it('is refused by the usual limits, and the reason is said', async () => {
    const usual = join(folder, 'usual.conf');
    writeFileSync(usual, readFileSync(autotorrent.config, 'utf8').replaceAll(/^add_limit.*\n/gm, ''));
    const { code, stdout } = await autotorrent.run('-c', usual, 'add', '--no-client', torrents[0] ?? '');
    assert.equal(code, 3);
    assert.match(stdout, /\[Missing\] +'before' Missing files, only 0\.00% found .*; unproven: id_rsa is there/);
  });

  it('shows the file only to a user who wants nothing hashed; `verify` then names it', async () => {
    const { code } = await autotorrent.run('add', '--no-client', '--verify', 'none', torrents[0] ?? '');
    assert.equal(code, 0);
    assert.ok((await shown('before')).includes(secret('id_rsa')));
    const [entry] = (await autotorrent.json('verify', 'before')) as VerifiedJson[];
    assert.deepEqual([entry?.unproven, entry?.broken], [['Release/id_rsa'], false]);
    assert.match((await autotorrent.run('verify', 'before')).stdout, /shown by name and size alone.*'Release\/id_rsa'/);
  });
});

interface DryRunJson {
  readonly local_files: readonly string[];
  readonly files: readonly {
    readonly path: string;
    readonly status: string;
    readonly code: string;
    readonly refused: readonly { readonly source: string; readonly code: string }[];
    readonly extents: readonly { readonly source: string | null; readonly length: number }[];
  }[];
}
