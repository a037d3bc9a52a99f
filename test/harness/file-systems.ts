/**
 * Real file systems for tests of sources: loop devices with ext4, XFS and btrfs, a mergerfs over two branches without
 * `use_ino`, and a FUSE pass-through whose inode numbers are others at each mount. Only root may mount them.
 *
 * None is left behind: `close` unmounts, and `mount-guard.ts` does after a failure or `kill -9`. A loop device goes with
 * its last mount.
 */
import { type ChildProcess, execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { guardMount } from './mount-guard.ts';

const run = promisify(execFile);

export const FILE_SYSTEM_KINDS = ['ext4', 'xfs', 'btrfs', 'mergerfs', 'fuse'] as const;
export type FileSystemKind = (typeof FILE_SYSTEM_KINDS)[number];

/** The sizes of the sparse images, in bytes: mkfs.xfs makes nothing smaller than 300 MiB. */
const IMAGE_BYTES = { ext4: 256, xfs: 512, btrfs: 256 } as const;
const MIB = 1024 * 1024;
const MKFS = {
  ext4: ['mkfs.ext4', '-q', '-F'],
  xfs: ['mkfs.xfs', '-q', '-f'],
  btrfs: ['mkfs.btrfs', '-q', '-f'],
} as const;

/** How much a file system on a loop device holds. `files` matters to ext4 alone. */
export interface Room {
  readonly bytes: number;
  readonly files: number;
}

export interface TestFileSystem {
  readonly kind: FileSystemKind;
  /** Where it is mounted at first. */
  readonly path: string;
  /** mergerfs: its branches, plain folders that are mount points of their own. */
  readonly branches: readonly string[];
  /** Unmounts it by a plain umount(8). @throws Error while a process has something of it open */
  umount(): Promise<void>;
  /** Mounts it, by default at `path`. */
  mount(at?: string): Promise<void>;
  remount(): Promise<void>;
  /** mergerfs: takes a branch away, so that an empty folder is in its place, and brings it back. */
  detachBranch(branch: string): Promise<void>;
  attachBranch(branch: string): Promise<void>;
  /** FUSE: sets the milliseconds before each answer; 0 gives also those at once that wait. */
  answerAfter(delayMs: number): void;
  /** FUSE: tells how many answers wait. */
  waiting(): Promise<number>;
  /** Unmounts it for good. May be called twice. */
  close(): Promise<void>;
}

/** What the kinds do differently. */
interface Kind {
  mount(at: string): Promise<void>;
  /** Called after the unmount. */
  ended?(): Promise<void>;
  /** Called at the end. */
  close?(): Promise<void>;
}

/** Makes a file system of this kind in `base`, an empty folder, and mounts it. */
export async function makeFileSystem(kind: FileSystemKind, base: string, room?: Room): Promise<TestFileSystem> {
  const path = join(base, 'mounted');
  await mkdir(path, { recursive: true });
  const branches = kind === 'mergerfs' ? [join(base, 'branch1'), join(base, 'branch2')] : [];
  const fuse = new Passthrough(join(base, 'shown'));
  const parts = await kindIn(kind, base, branches, fuse, room);
  let mountedAt: string | undefined;
  const umount = async (): Promise<void> => {
    if (mountedAt === undefined) return;
    await run('umount', [mountedAt]);
    mountedAt = undefined;
    await parts.ended?.();
  };
  const mount = async (at = path): Promise<void> => {
    await mkdir(at, { recursive: true });
    guardMount(at);
    await parts.mount(at);
    mountedAt = at;
  };
  await mount();
  return {
    kind,
    path,
    branches,
    umount,
    mount,
    async remount() {
      const at = mountedAt;
      await umount();
      await mount(at);
    },
    async detachBranch(branch) {
      // As a disk that is pulled: mergerfs may have files of it open.
      await run('umount', ['-l', branch]);
    },
    async attachBranch(branch) {
      await bind(`${branch}-disk`, branch);
    },
    answerAfter: (delayMs) => fuse.answerAfter(delayMs),
    waiting: async () => await fuse.waiting(),
    async close() {
      if (mountedAt !== undefined) {
        fuse.answerAfter(0);
        // A failed test may have left a reader.
        await umount().catch(async () => await run('umount', ['-l', mountedAt ?? path]));
        mountedAt = undefined;
        await parts.ended?.();
      }
      await parts.close?.();
    },
  };
}

async function kindIn(
  kind: FileSystemKind,
  base: string,
  branches: readonly string[],
  fuse: Passthrough,
  room?: Room,
): Promise<Kind> {
  if (kind === 'fuse') {
    await mkdir(fuse.folder);
    return { mount: async (at) => await fuse.mount(at), ended: async () => await fuse.end() };
  }
  if (kind === 'mergerfs') return await mergerfs(branches);
  const image = join(base, 'image');
  await run('truncate', ['-s', String(room?.bytes ?? IMAGE_BYTES[kind] * MIB), image]);
  const [mkfs, ...options] = MKFS[kind];
  const inodes = room === undefined || kind !== 'ext4' ? [] : ['-N', String(Math.ceil(room.files))];
  await run(mkfs, [...options, ...inodes, image]);
  return { mount: async (at) => void (await run('mount', ['-o', 'loop', image, at])) };
}

async function bind(from: string, to: string): Promise<void> {
  await mkdir(from, { recursive: true });
  await mkdir(to, { recursive: true });
  guardMount(to);
  await run('mount', ['--bind', from, to]);
}

async function mergerfs(branches: readonly string[]): Promise<Kind> {
  for (const branch of branches) await bind(`${branch}-disk`, branch);
  let mounts = 0;
  return {
    async mount(at) {
      // Without `use_ino`, the default of the version in Debian 12: inode numbers in the order of look-up.
      await run('mergerfs', ['-o', 'allow_other,fsname=pool', branches.join(':'), at]);
      await lookUpAll(at, mounts++ % 2 === 1);
    },
    async close() {
      for (const branch of branches) await run('umount', ['-l', branch]).catch(() => {});
    },
  };
}

/** Looks at each file, every second time in the reverse order: so each has another number than at the last mount. */
async function lookUpAll(folder: string, reversed: boolean): Promise<void> {
  const names = (await readdir(folder, { recursive: true })).toSorted();
  for (const name of reversed ? names.toReversed() : names) await stat(join(folder, name)).catch(() => {});
}

/** The process that shows `folder`. */
class Passthrough {
  readonly folder: string;
  #child: ChildProcess | undefined;

  constructor(folder: string) {
    this.folder = folder;
  }

  async mount(at: string): Promise<void> {
    const script = fileURLToPath(new URL('passthrough-mount.js', import.meta.url));
    const child = fork(script, [this.folder, at], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#child = child;
    await new Promise<void>((resolve, reject) => {
      child.once('message', () => resolve());
      child.once('exit', (code) => reject(new Error(`${script} ended with ${code}`)));
    });
  }

  answerAfter(delayMs: number): void {
    if (this.#child?.connected === true) this.#child.send({ delayMs });
  }

  async waiting(): Promise<number> {
    const child = this.#child;
    if (child === undefined) return 0;
    child.send({});
    const [{ waiting }] = (await once(child, 'message')) as [{ readonly waiting: number }];
    return waiting;
  }

  async end(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
}
