/** Who is at the other end of a unix socket: getsockopt(2) with SO_PEERCRED (unix(7)). */
import { loadKoffi } from './c-library.ts';

/** Gives the user of the process that listened or connected at the other end; undefined if the kernel does not say. */
export type PeerUid = (fd: number) => number | undefined;

const SOL_SOCKET = 1;
/** asm/socket.h of the machines that have the generic numbers, and of PowerPC, which has its own. */
const SO_PEERCRED: Readonly<Partial<Record<string, number>>> = {
  x64: 17,
  arm64: 17,
  riscv64: 17,
  s390x: 17,
  loong64: 17,
  ppc64: 21,
};
/** struct ucred { pid_t pid; uid_t uid; gid_t gid; }. */
const UCRED_BYTES = 12;
const UID_AT = 4;

/** Loads the call; undefined if koffi is not installed, or the machine's numbers are not known. */
export function loadPeerUid(): PeerUid | undefined {
  const option = SO_PEERCRED[process.arch];
  if (option === undefined) return undefined;
  try {
    const library = loadKoffi().load(null);
    const getsockopt = library.func('int getsockopt(int fd, int level, int name, void *value, void *length)');
    return (fd) => {
      const value = new Uint32Array(UCRED_BYTES / 4);
      const length = new Uint32Array([UCRED_BYTES]);
      if (getsockopt(fd, SOL_SOCKET, option, bytesOf(value), bytesOf(length)) !== 0) return undefined;
      return length[0] === UCRED_BYTES ? value[UID_AT / 4] : undefined;
    };
  } catch {
    return undefined;
  }
}

function bytesOf({ buffer }: Uint32Array<ArrayBuffer>): Buffer {
  return Buffer.from(buffer);
}
