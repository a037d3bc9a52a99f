/** Why a mount was refused, and what helps: by the error of mount(2), or by what `fusermount3` said. */
import { existsSync, readFileSync } from 'node:fs';
import { accountOf, ownUid } from '../../native/accounts.ts';
import { printable } from '../../printable.ts';

export interface Refusal {
  /** `the kernel`, or the program that mounts. */
  readonly by: string;
  /** Its message, as it is. */
  readonly said: string;
  /** The errno's name, where the kernel refused. */
  readonly code: string | undefined;
  readonly cause?: unknown;
}

export interface RefusedMount {
  readonly mountPoint: string;
  readonly allowOther: boolean;
}

/** Where to look for what confines programs. Tests put other paths here. */
export interface Confinement {
  /** The loaded profiles of AppArmor, a line for each: `NAME (MODE)`. Only root may read it. */
  readonly loaded: string;
  /** The folder of its profiles. */
  readonly profiles: string;
  readonly status: string;
}

const CONFINEMENT: Confinement = {
  loaded: '/sys/kernel/security/apparmor/profiles',
  profiles: '/etc/apparmor.d',
  status: '/proc/self/status',
};

const CONTAINER =
  'In a container: --device /dev/fuse --cap-add SYS_ADMIN, with --security-opt apparmor=unconfined where AppArmor is active.';

export function refusal(
  refused: Refusal,
  mount: RefusedMount,
  confinement: Confinement = CONFINEMENT,
): { readonly message: string; readonly hint: string } {
  const said = refused.said === '' ? 'it gave no reason' : printable(refused.said, 500);
  return {
    message: `${mount.mountPoint} cannot be mounted, refused by ${refused.by}: ${said}`,
    hint: refused.code === undefined ? hintOfHelper(refused, mount, confinement) : hintOfKernel(refused.code),
  };
}

function hintOfKernel(code: string): string {
  switch (code) {
    case 'EPERM':
    case 'EACCES':
      return `The process lacks the capability SYS_ADMIN, or a security module forbids mounts. ${CONTAINER}`;
    case 'ENODEV':
      return 'This kernel has no FUSE: modprobe fuse.';
    default:
      return 'The kernel may say more: dmesg.';
  }
}

function hintOfHelper({ by, said }: Refusal, mount: RefusedMount, confinement: Confinement): string {
  if (said.includes('user_allow_other')) return othersHint();
  if (said.includes('username')) return accountHint() ?? 'The user who runs the server needs an account (/etc/passwd).';
  if (said.includes('mount_max')) return 'As root: raise mount_max in /etc/fuse.conf.';
  if (said.includes('is forbidden')) {
    return `${by} mounts on the usual file systems of disks alone: set store_path to a folder on one, or run the server as root.`;
  }
  if (said.includes('write access') || said.includes('not owned')) {
    return `The mount point must belong to the user who runs the server: as root, give it to user ${ownUid()} (chown).`;
  }
  const profile = said.includes('Permission denied') ? profileOf(confinement) : undefined;
  if (profile !== undefined) {
    return (
      `AppArmor lets ${by} mount in certain folders only, such as those below a user's home: set store_path to one. ` +
      `Or allow this one: as root, add the line \`mount fstype=fuse.autotorrent -> ${mount.mountPoint}/,\` to ` +
      `${confinement.profiles}/local/${profile}, then apparmor_parser -r ${confinement.profiles}/${profile}.`
    );
  }
  if (said.includes('not permitted')) {
    return hasNoNewPrivileges(confinement)
      ? `The server may gain no privileges (no_new_privs; NoNewPrivileges= of systemd), and ${by} needs them: allow it, or run the server as root.`
      : `${by} is not set-uid root, or may not mount. ${CONTAINER}`;
  }
  return (
    [...(mount.allowOther ? [othersHint()] : []), ...[accountHint() ?? []].flat()].join(' ') ||
    `${by} may say more in the system's log.`
  );
}

/** What an ordinary user needs to show a mount to others. */
export const othersHint = (): string =>
  'allow_other needs the line user_allow_other in /etc/fuse.conf, but for root. Add it as root, or set allow_other = no.';

/** Undefined if this user has an account, without which `fusermount` serves nobody. */
export function accountHint(): string | undefined {
  if (accountOf(ownUid()) !== undefined) return undefined;
  return `fusermount serves users with an account alone, and /etc/passwd has none for user ${ownUid()}: add one.`;
}

/** The names that distributions give the file of the profile. */
const PROFILES = ['fusermount3', 'fusermount', 'usr.bin.fusermount3', 'usr.bin.fusermount'];

/** Finds AppArmor's profile of the program that mounts, by the name of its file. Undefined if there is none. */
function profileOf({ loaded, profiles }: Confinement): string | undefined {
  const file = PROFILES.find((name) => existsSync(`${profiles}/${name}`));
  try {
    const names = readFileSync(loaded, 'utf8').split('\n');
    // `/usr/bin/fusermount3 (enforce)`.
    return names.some((line) => /^(\S*\/)?fusermount3? \(enforce\)$/.test(line)) ? (file ?? PROFILES[0]) : undefined;
  } catch {
    // An ordinary user may not read it, and sees the file alone.
    return file;
  }
}

function hasNoNewPrivileges({ status }: Confinement): boolean {
  try {
    return /^NoNewPrivs:\s*1$/m.test(readFileSync(status, 'utf8'));
  } catch {
    return false;
  }
}
