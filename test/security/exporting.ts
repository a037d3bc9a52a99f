/** The scene of the attacks on `overlay export`: a served entry, a folder of root's, and a folder that others may write to. */
import assert from 'node:assert/strict';
import { chmod, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { EntryJson } from '../../src/cli/json.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { type Daemon, startDaemon } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';

const MB = 2 ** 20;
/** The large file comes first: an export can be stopped in it, when the folders above it are there. */
export const FILES: readonly (readonly [path: readonly string[], data: Buffer])[] = [
  [['large.bin'], Buffer.alloc(24 * MB, 'large ')],
  [['disc', 'song.bin'], Buffer.alloc(300_000, 'song ')],
  [['note.txt'], Buffer.alloc(10_000, 'note ')],
];

export interface Scene {
  /** Everybody may pass through it. */
  readonly folder: string;
  readonly autotorrent: Autotorrent;
  readonly infoHash: string;
  /** A folder that only root may enter. */
  readonly rootOnly: string;
  /** Makes an empty folder of this mode. */
  shared(name: string, mode: number): Promise<string>;
  /** Starts an export that stands still in the large file until `go` is called. */
  heldExport(to: string): Promise<{ readonly running: Daemon; readonly go: () => Promise<void> }>;
  /** Tells if the root-only folder is as it was. */
  untouched(): Promise<void>;
  close(): Promise<void>;
}

export async function exportScene(): Promise<Scene> {
  const folder = temporaryFolder('attacked-export');
  await chmod(folder, 0o755);
  const rootOnly = join(folder, 'root-only');
  await mkdir(rootOnly, { mode: 0o700 });
  for (const [path, data] of FILES) {
    await mkdir(join(folder, 'disk', ...path.slice(0, -1)), { recursive: true });
    await writeFile(join(folder, 'disk', ...path), data);
  }
  const content = FILES.map(([path, data]) => ({ path, data }));
  await writeFile(join(folder, 'Album.torrent'), makeTorrent({ name: 'Album', pieceLength: MB, content }).raw);
  const autotorrent = await autotorrentIn({
    folder,
    disks: [join(folder, 'disk')],
    general: ['add_limit_size = 1 GB', 'add_limit_percent = 100'],
  });
  assert.equal((await autotorrent.run('rebuild')).code, 0);
  const server = await autotorrent.mount();
  const { code, stdout, stderr } = await autotorrent.run('add', 'Album.torrent');
  assert.equal(code, 0, stdout + stderr);
  const { info_hash: infoHash } = ((await autotorrent.json('list')) as EntryJson[])[0] ?? assert.fail();
  return {
    folder,
    autotorrent,
    infoHash,
    rootOnly,
    async shared(name, mode) {
      const path = join(folder, name);
      await mkdir(path);
      await chmod(path, mode);
      return path;
    },
    async heldExport(to) {
      const gate = join(folder, 'gate');
      await writeFile(gate, '');
      const held = fileURLToPath(new URL('../e2e/held-reads.js', import.meta.url));
      const program = [resolve('dist/src/main.js'), '-c', autotorrent.config, 'overlay', 'export', 'Album', to];
      const env = { HELD_READS_GATE: gate, HELD_READS_AFTER: `${8 * MB}` };
      const running = await startDaemon(process.execPath, ['--import', held, ...program], { cwd: folder, env });
      return { running, go: () => rm(gate) };
    },
    async untouched() {
      assert.deepEqual(await readdir(rootOnly), []);
      assert.equal((await stat(rootOnly)).mode & 0o777, 0o700);
    },
    close: () => server.stop(),
  };
}
