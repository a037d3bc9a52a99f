/**
 * Runs commands as an ordinary user of this machine who is neither the test's user nor root: the attacker of the tests in
 * `test/security/`. Only root may become somebody else, so these tests need root, as CI has.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A user id that no account of an ordinary system has: he owns nothing but what he makes himself. */
export const OTHER_USER = { uid: 54321, gid: 54321 } as const;

/** Why the tests cannot run here: for the option `skip` of `node:test`. */
export const NEEDS_ROOT: string | false = process.getuid?.() === 0 ? false : 'only root can become another user';

/** What a command printed, and how it ended. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The beginning of a command line that runs its rest as the other user, without root's supplementary groups. */
export const AS_OTHER_USER = [
  // setpriv(1), since Node leaves the supplementary groups of root to a child.
  'setpriv',
  `--reuid=${OTHER_USER.uid}`,
  `--regid=${OTHER_USER.gid}`,
  '--clear-groups',
] as const;

export interface User {
  readonly uid: number;
  readonly gid: number;
}

/** The beginning of a command line that runs its rest as `user`; empty for this process's own. */
export function commandAs(user: User | undefined): readonly string[] {
  return user === undefined ? [] : ['setpriv', `--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups'];
}

/** Gives a folder and all that is in it to `user`. */
export async function giveTo(user: User, folder: string): Promise<void> {
  await run('chown', ['-R', `${user.uid}:${user.gid}`, folder]);
}

/** Runs a shell command as the other user, without root's supplementary groups. It ends after 20 seconds at the latest. */
export async function asOtherUser(script: string, ...args: readonly string[]): Promise<Ran> {
  const [setpriv, ...become] = AS_OTHER_USER;
  try {
    const { stdout, stderr } = await run(setpriv, [...become, 'sh', '-c', script, 'sh', ...args], {
      cwd: '/',
      timeout: 20_000,
    });
    return { code: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code?: unknown; stdout?: string; stderr?: string };
    if (typeof code !== 'number') throw error;
    return { code, stdout: stdout ?? '', stderr: stderr ?? '' };
  }
}
