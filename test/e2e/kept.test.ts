/** A film that is deleted while it is seeded, on a disk that shares extents: what is kept of it outlives the server, and its state. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, it } from 'node:test';
import { promisify } from 'node:util';
import { OWN_FOLDER } from '../../src/source/own-folder.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { type Daemon, waitUntil } from '../harness/daemon.ts';
import { makeFileSystem, type TestFileSystem } from '../harness/file-systems.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';

const run = promisify(execFile);
const FILM = randomBytes(2_000_000);

const base = temporaryFolder('kept');
const [torrent, whole] = [join(base, 'Film.torrent'), join(base, 'whole')];
let disk: TestFileSystem;
let program: Autotorrent;
let server: Daemon;

before(async () => {
  if (NEEDS_ROOT !== false) return;
  disk = await makeFileSystem('xfs', base);
  program = await autotorrentIn({ folder: base, disks: [disk.path] });
  writeFileSync(whole, FILM);
  writeFileSync(torrent, makeTorrent({ name: 'Film.mkv', content: FILM, pieceLength: 16_384 }).raw);
  server = await program.mount();
});
after(async () => {
  await server?.stop();
  await disk?.close();
});

/** Compares what the mount shows with the film. */
async function isWhole(): Promise<void> {
  await run('cmp', [join(program.storePath, 'Film', 'Film.mkv'), whole], { timeout: 30_000 });
}

async function indexAndAdd(): Promise<void> {
  for (const args of [['rebuild'], ['add', torrent]]) {
    const { code, stdout, stderr } = await program.run(...args);
    assert.equal(code, 0, stdout + stderr);
  }
}

const inOwnFolder = (...names: readonly string[]): string[] => {
  try {
    return readdirSync(join(disk.path, OWN_FOLDER, ...names), { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.mkv'),
    );
  } catch {
    return [];
  }
};

it('is served from what was kept, by the next server, and after the state was lost', { skip: NEEDS_ROOT }, async () => {
  const film = join(disk.path, 'films', 'Film.mkv');
  mkdirSync(dirname(film));
  writeFileSync(film, FILM);
  await indexAndAdd();
  await isWhole();
  rmSync(film);
  await waitUntil('it is kept', async () => inOwnFolder().length === 1);
  await isWhole();

  await server.stop();
  server = await program.mount();
  await isWhole();
  assert.equal(inOwnFolder().length, 1);

  await server.stop();
  rmSync(program.statePath, { recursive: true });
  server = await program.mount();
  await waitUntil('it is found', async () => inOwnFolder('found').length === 1);
  assert.equal(inOwnFolder().length, 1);
  await indexAndAdd();
  await isWhole();
});
