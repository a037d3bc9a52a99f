/**
 * Unix sockets of state: connects to one, and checks who is at the other end, before a byte goes either way.
 *
 * The socket lies in a private folder, which is what protects it. The kernel's word about the other end (SO_PEERCRED) comes
 * on top, for a socket that was made while the folder was open to others; where it is missing, the folder's check stands alone.
 */
import { once } from 'node:events';
import { lstatSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { isTrustedUser, shownUser } from '../native/accounts.ts';
import { loadPeerUid, type PeerUid } from '../native/peer.ts';
import { socketAddress } from './socket-address.ts';

/** The socket, or the program that listens on it, is another user's. */
export class UntrustedSocket extends Error {
  readonly hint = 'look who made it, and delete it';
}

export class Peers {
  #call: { readonly uidOf: PeerUid | undefined } | undefined;

  /** The user at the other end if it is neither this user nor root. */
  stranger(socket: Socket): number | undefined {
    const uid = this.uidOf(socket);
    return uid === undefined || isTrustedUser(uid) ? undefined : uid;
  }

  /** The user at the other end; undefined if the kernel does not say. */
  uidOf(socket: Socket): number | undefined {
    // Node has no call for the descriptor of a socket, but every Unix build of it keeps it there.
    const fd = (socket as unknown as { readonly _handle?: { readonly fd?: number } | null })._handle?.fd;
    if (fd === undefined || fd < 0) return undefined;
    // Loaded late: it takes 15 ms, and often no server runs.
    this.#call ??= { uidOf: loadPeerUid() };
    return this.#call.uidOf?.(fd);
  }
}

/**
 * Connects to the socket `name` in `folder`, which `keepPrivate` has checked.
 * @throws UntrustedSocket; errors of lstat(2) and connect(2)
 */
export async function dial(folder: string, name: string, peers: Peers): Promise<Socket> {
  const path = join(folder, name);
  const stats = lstatSync(path);
  if (!stats.isSocket() || !isTrustedUser(stats.uid)) throw new UntrustedSocket(`${path} is no socket of this user's`);
  const address = socketAddress(folder, name);
  try {
    const socket = connect(address.path);
    await once(socket, 'connect');
    const stranger = peers.stranger(socket);
    if (stranger === undefined) return socket;
    socket.destroy();
    throw new UntrustedSocket(`a program of ${shownUser(stranger)} listens on ${path}`);
  } finally {
    address.release();
  }
}
