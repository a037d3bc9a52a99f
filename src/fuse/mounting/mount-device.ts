/**
 * Mounts /dev/fuse: with mount(2) where this process may, else through `fusermount3`, which may.
 *
 * `fusermount3` opens the device and mounts it as root, and sends its descriptor back over a socket, whose number it takes from
 * the environment (`_FUSE_COMMFD`). It serves the process's user: it looks whether he may write to the mount point, and whether
 * /etc/fuse.conf lets him show it to others.
 */
import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { AutotorrentError, errnoOf, messageOf } from '../../errors.ts';
import type { FuseDeviceCalls, FuseMountOptions } from '../../native/fuse-device.ts';
import { type Refusal, refusal } from './refusals.ts';

/** The programs that mount for ordinary users. That of libfuse 2 speaks the same way. */
export const MOUNT_HELPERS = ['fusermount3', 'fusermount'] as const;

/** The first descriptor of a child after its standard ones. */
const SOCKET_OF_CHILD = 3;
/** More than the helper says. */
const MOST_SAID = 4096;

export interface DeviceMountOptions extends Pick<FuseMountOptions, 'allowOther' | 'readOnly'> {
  readonly mountPoint: string;
  /** A descriptor of the directory that is mounted on: its name may have become another's. */
  readonly directory: number;
}

/**
 * Gives the descriptor of the device, which blocks, and is close-on-exec. The kernel's first request is INIT. To close it ends the
 * mount, once no clone of it is left.
 * @throws AutotorrentError('MOUNT') with what refused, and what helps
 */
export async function mountDevice(calls: FuseDeviceCalls, options: DeviceMountOptions): Promise<number> {
  const failure = mountDirectly(calls, options);
  if (typeof failure === 'number') return failure;
  // Root of a container without CAP_SYS_ADMIN: the program could do no more.
  if (errnoOf(failure) !== 'EPERM' || process.geteuid?.() === 0) {
    throw refused(options, { by: 'the kernel', said: messageOf(failure), code: errnoOf(failure), cause: failure });
  }
  return await mountThroughHelper(calls, options);
}

/** Gives the descriptor, or why there is none. @throws file errors of the device */
function mountDirectly(calls: FuseDeviceCalls, { directory, ...options }: DeviceMountOptions): unknown {
  const fd = calls.open();
  try {
    const [uid, gid] = [process.geteuid?.() ?? 0, process.getegid?.() ?? 0];
    calls.mount(fd, `/proc/self/fd/${directory}`, { ...options, uid, gid });
    return fd;
  } catch (error) {
    closeSync(fd);
    return error;
  }
}

async function mountThroughHelper(calls: FuseDeviceCalls, options: DeviceMountOptions): Promise<number> {
  const { mountPoint, allowOther, readOnly } = options;
  const words = [
    'fsname=autotorrent',
    'subtype=autotorrent',
    'default_permissions',
    ...(allowOther ? ['allow_other'] : []),
    ...(readOnly ? ['ro'] : []),
  ];
  for (const program of MOUNT_HELPERS) {
    const [ours, theirs] = calls.socketPair();
    try {
      const ended = runHelper(program, ['-o', words.join(','), '--', mountPoint], theirs);
      const said = await ended;
      if (said === undefined) continue;
      const fd = calls.receiveDescriptor(ours);
      if (fd !== undefined) return fd;
      throw refused(options, { by: program, said, code: undefined });
    } finally {
      closeSync(ours);
      closeSync(theirs);
    }
  }
  throw new AutotorrentError('MOUNT', `${MOUNT_HELPERS[0]} is missing, which mounts for users other than root`, {
    hint: 'Debian, Ubuntu: apt install fuse3. Fedora: dnf install fuse3. Arch: pacman -S fuse3.',
  });
}

/** Gives what the program said on its standard error when it has ended; undefined if there is no such program. */
async function runHelper(program: string, args: readonly string[], socket: number): Promise<string | undefined> {
  const child = spawn(program, args, {
    // Its words are looked at.
    env: { ...process.env, LC_ALL: 'C', _FUSE_COMMFD: `${SOCKET_OF_CHILD}` },
    stdio: ['ignore', 'ignore', 'pipe', socket],
  });
  const ended = new Promise<void>((resolve, reject) => {
    child.once('close', () => resolve());
    child.once('error', reject);
  });
  try {
    const [said] = await Promise.all([child.stderr === null ? '' : text(child.stderr), ended]);
    return said.slice(0, MOST_SAID).trim();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    return messageOf(error);
  }
}

function refused({ mountPoint, allowOther }: DeviceMountOptions, found: Refusal): AutotorrentError {
  const { message, hint } = refusal(found, { mountPoint, allowOther });
  return new AutotorrentError('MOUNT', message, { hint, cause: found.cause });
}
