/** A server of root's that shows a disk to everybody, and what another user can read of it. */
import assert from 'node:assert/strict';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import type { Daemon } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';
import { asOtherUser } from '../harness/other-user.ts';

export class Scene {
  /** Anybody may go through it. */
  readonly folder: string;
  readonly disk: string;
  readonly autotorrent: Autotorrent;
  readonly #undo: (() => Promise<unknown>)[] = [];

  private constructor(folder: string, autotorrent: Autotorrent) {
    this.folder = folder;
    this.disk = join(folder, 'disk');
    this.autotorrent = autotorrent;
  }

  /** `general`: further lines of the configuration. */
  static async make(...general: readonly string[]): Promise<Scene> {
    const folder = temporaryFolder('security');
    await chmod(folder, 0o755);
    const disk = join(folder, 'disk');
    await mkdir(disk, { mode: 0o755 });
    return new Scene(folder, await autotorrentIn({ folder, disks: [disk], general }));
  }

  async mount(): Promise<Daemon> {
    const server = await this.autotorrent.mount();
    this.#undo.push(() => server.stop());
    return server;
  }

  async end(): Promise<void> {
    for (let step = this.#undo.pop(); step !== undefined; step = this.#undo.pop()) await step();
  }

  /** Writes a file below the disk; folders are open to everybody. Returns its path. */
  async put(path: string, data: Buffer, mode: number): Promise<string> {
    const full = join(this.disk, path);
    await mkdir(join(full, '..'), { recursive: true, mode: 0o755 });
    await writeFile(full, data);
    await chmod(full, mode);
    return full;
  }

  /** Adds a torrent of files of the disk, as entry and torrent `name`. Returns the folder with its files in the mount. */
  async add(name: string, files: Readonly<Record<string, Buffer>>): Promise<string> {
    assert.equal((await this.autotorrent.run('rebuild')).code, 0);
    const torrent = join(this.folder, `${name}.torrent`);
    const content = Object.entries(files).map(([path, data]) => ({ path: path.split('/'), data }));
    await writeFile(torrent, makeTorrent({ name, content }).raw);
    const added = await this.autotorrent.run('add', torrent);
    assert.equal(added.code, 0, added.stdout + added.stderr);
    return join(this.autotorrent.storePath, name, name);
  }
}

/** What the other user gets of a file: its bytes, or the error of the system. */
export async function readByOther(path: string): Promise<string> {
  const { code, stdout, stderr } = await asOtherUser('cat "$1"', path);
  return code === 0 ? stdout : (/: ([^:]+)\n$/.exec(stderr)?.[1] ?? stderr);
}

export const DENIED = 'Permission denied';
