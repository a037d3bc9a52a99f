/** The address of a unix socket in a folder, however long the folder's path is. */
import { closeSync, constants, openSync } from 'node:fs';
import { join } from 'node:path';

/** sockaddr_un's sun_path holds 108 bytes with its NUL (unix(7)). */
const LIMIT = 107;

export interface SocketAddress {
  readonly path: string;
  /** Call it when the socket is no longer connected to, listened on or removed by this address. */
  release(): void;
}

/** Returns the socket's path. If it is too long, the path goes by a descriptor of the folder (proc(5), /proc/self/fd). */
export function socketAddress(folder: string, name: string): SocketAddress {
  const path = join(folder, name);
  if (Buffer.byteLength(path) <= LIMIT) return { path, release() {} };
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  return { path: `/proc/self/fd/${fd}/${name}`, release: () => closeSync(fd) };
}
