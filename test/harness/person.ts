/**
 * Who runs the program in a test: root, or an ordinary user with an account who may mount FUSE file systems. The user's
 * programs run in a mount namespace of their own, where /etc/passwd has the account (fusermount demands one) and /dev/fuse is
 * open to all (containers keep it for root). What this process
 * mounts and unmounts in one folder, they see; what they mount, only they see.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { guardMount } from './mount-guard.ts';
import { AS_OTHER_USER, OTHER_USER } from './other-user.ts';

const run = promisify(execFile);

export interface Person {
  readonly name: 'root' | 'user';
  readonly uid: number;
  readonly gid: number;
  /** The beginning of each command line that the person runs. */
  readonly command: readonly string[];
  end(): Promise<void>;
}

export const ROOT: Person = { name: 'root', uid: 0, gid: 0, command: [], end: async () => {} };

/** Prepares the namespace, and holds it until standard input ends. */
const HOLD = `
set -e
mknod "$1/fuse" c 10 229
chmod 666 "$1/fuse"
mount --bind "$1/fuse" /dev/fuse
{ cat /etc/passwd; echo media:x:${OTHER_USER.uid}:${OTHER_USER.gid}::/:/bin/sh; } >"$1/passwd"
mount --bind "$1/passwd" /etc/passwd
echo ready
exec cat`;

/**
 * Starts the user's namespace. What is mounted below `shared` from now on is seen in it; `folder` gets the two files that it
 * needs. Only root can.
 */
export async function ordinaryUser(folder: string, shared: string): Promise<Person> {
  guardMount(shared);
  await run('mount', ['--bind', shared, shared]);
  await run('mount', ['--make-shared', shared]);
  const holder: ChildProcess = spawn('unshare', ['--mount', '--propagation', 'slave', 'sh', '-c', HOLD, 'sh', folder], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await Promise.race([
    once(holder.stdout!, 'data'),
    once(holder, 'exit').then(() => Promise.reject(new Error('the namespace of the user could not be made'))),
  ]);
  return {
    name: 'user',
    ...OTHER_USER,
    command: ['nsenter', `--mount=/proc/${holder.pid}/ns/mnt`, ...AS_OTHER_USER],
    async end() {
      const ended = once(holder, 'exit');
      holder.stdin?.end();
      await ended;
      await run('umount', [shared]);
    },
  };
}
