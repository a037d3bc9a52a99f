/** A disk that belongs to another user, beside a folder that is root's alone, and a server that root runs. */
import assert from 'node:assert/strict';
import { chmodSync, chownSync, cpSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';
import { asOtherUser, OTHER_USER } from '../harness/other-user.ts';

export const SECRET = Buffer.from('the secret of root. '.repeat(1000));
export const PUBLIC = Buffer.alloc(SECRET.length, 'p');
const TIME = 1_600_000_000;

export interface AttackedDisk {
  readonly top: string;
  readonly disk: string;
  /** Root's folder, with a file of each name that the disk has, whose content is SECRET. */
  readonly secrets: string;
  readonly autotorrent: Autotorrent;
  /** Runs a command of the attacker in the disk; it must succeed. */
  readonly attack: (script: string) => Promise<void>;
  /** Makes a .torrent in which `a/b/known` has `content`. */
  readonly torrent: (name: string, content: Buffer) => string;
  readonly mount: () => Promise<void>;
  readonly stop: () => Promise<void>;
  /** All that the mount shows: the content of each file, or the error of reading it. */
  readonly shown: () => Map<string, Buffer | string>;
}

/** `content`: of the disk's own file `a/b/known`. Both files have one size and one mtime. */
export async function attackedDisk(
  test: TestContext,
  content: Buffer,
  general: readonly string[] = [],
): Promise<AttackedDisk> {
  const top = temporaryFolder('attacked');
  chmodSync(top, 0o755);
  const [disk, secrets] = [join(top, 'disk'), join(top, 'secrets')];
  mkdirSync(secrets, { mode: 0o700 });
  for (const [folder, bytes] of [
    [disk, content],
    [secrets, SECRET],
  ] as const) {
    mkdirSync(join(folder, 'a/b'), { recursive: true });
    writeFileSync(join(folder, 'a/b/known'), bytes);
    utimesSync(join(folder, 'a/b/known'), TIME, TIME);
  }
  // One level up the same names are there, for a link in the place of `a/b`.
  cpSync(join(secrets, 'a/b/known'), join(secrets, 'known'), { preserveTimestamps: true });
  cpSync(join(secrets, 'a/b'), join(secrets, 'b'), { recursive: true, preserveTimestamps: true });
  for (const path of ['', 'a', 'a/b', 'a/b/known']) chownSync(join(disk, path), OTHER_USER.uid, OTHER_USER.gid);
  const autotorrent = await autotorrentIn({ folder: top, disks: [disk], general });
  let server: { stop(): Promise<unknown> } | undefined;
  const stop = async (): Promise<void> => {
    await server?.stop();
    server = undefined;
  };
  test.after(stop);
  return {
    top,
    disk,
    secrets,
    autotorrent,
    async attack(script) {
      const { code, stderr } = await asOtherUser(`cd "$1" && ${script}`, disk, secrets);
      assert.equal(code, 0, stderr);
    },
    torrent(name, bytes) {
      const file = join(top, `${name}.torrent`);
      const files = [{ path: ['b', 'known'], data: bytes }];
      writeFileSync(file, makeTorrent({ name: 'a', content: files, announce: 'http://127.0.0.1:1/a' }).raw);
      return file;
    },
    async mount() {
      server = await autotorrent.mount();
    },
    stop,
    shown() {
      const found = new Map<string, Buffer | string>();
      for (const entry of readdirSync(autotorrent.storePath, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile()) continue;
        const path = join(entry.parentPath, entry.name);
        try {
          found.set(path, readFileSync(path));
        } catch (error) {
          found.set(path, (error as NodeJS.ErrnoException).code ?? '');
        }
      }
      return found;
    },
  };
}

/** Fails if any file of the mount has a byte of the secret. */
export function assertNoSecret({ shown }: AttackedDisk): void {
  for (const [path, found] of shown()) {
    if (typeof found !== 'string') assert.ok(!found.includes('secret'), `${path} shows root's secret`);
  }
}
