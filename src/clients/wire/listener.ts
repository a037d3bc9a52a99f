/**
 * Whose program listens at a client's address on this machine, before anything is sent to it.
 *
 * While a client is down, every user may listen on its port, and the first request has the password or the torrent. So the
 * user of the program there is remembered once it gave a valid answer, and then nobody else is believed at this place but
 * root and this user. A program elsewhere, also in a container behind address translation, is not known by its user.
 */
import type { Socket } from 'node:net';
import { AutotorrentError, messageOf } from '../../errors.ts';
import { isTrustedUser, shownUser } from '../../native/accounts.ts';
import { isWithinMachine, type TcpOwner, tcpPeerOwner } from '../../native/tcp-owner.ts';
import { Peers } from '../../state/peer.ts';
import { type KnownDaemons, lineOf } from './known-daemons.ts';

export class Listener {
  /** The client and its address, as people see them. */
  readonly #name: string;
  readonly known: KnownDaemons;
  readonly #peers = new Peers();
  /** What to remember with the first valid answer. */
  #new: { readonly place: string; readonly uid: number } | undefined;
  /** The user whose program the last connection led to; undefined if it is on another machine, or cannot be known. */
  uid: number | undefined;

  constructor(name: string, known: KnownDaemons) {
    this.#name = name;
    this.known = known;
  }

  /**
   * Returns once the program that `socket` is connected to may be sent something. `place`: what it is known by.
   * @throws AutotorrentError('CLIENT') if it is another user's than before
   */
  async check(socket: Socket, place: string): Promise<void> {
    this.#new = undefined;
    const owner = await this.look(socket);
    if (owner === undefined) return;
    const { uid, holds } = owner;
    const isTrusted = isTrustedUser(uid);
    let known: number | undefined;
    try {
      known = this.known.uidOf(place);
    } catch (error) {
      if (isTrusted) return;
      throw this.#unusable(error);
    }
    // A web server may listen as root, and answer as another.
    if (known === undefined && (holds || !isTrusted)) this.#new = { place, uid };
    if (known !== undefined && known !== uid && !isTrusted) throw this.#changed(place, uid, known);
  }

  /** What listens there has given a valid answer, to a login if it wants one. @throws AutotorrentError('CLIENT') */
  confirm(): void {
    if (this.#new === undefined) return;
    const { place, uid } = this.#new;
    this.#new = undefined;
    let known: number;
    try {
      known = this.known.rememberUid(place, uid);
    } catch (error) {
      throw this.#unusable(error);
    }
    // Another command was first.
    if (known !== uid && !isTrustedUser(uid)) throw this.#changed(place, uid, known);
  }

  /** Finds out whose program `socket` leads to, and decides nothing. */
  async look(socket: Socket): Promise<TcpOwner | undefined> {
    this.uid = undefined;
    const owner = await this.#ownerOf(socket);
    this.uid = owner?.uid;
    return owner;
  }

  async #ownerOf(socket: Socket): Promise<TcpOwner | undefined> {
    const { localAddress, localPort, remoteAddress, remotePort } = socket;
    if (
      localAddress === undefined ||
      localPort === undefined ||
      remoteAddress === undefined ||
      remotePort === undefined
    ) {
      const uid = this.#peers.uidOf(socket);
      return uid === undefined ? undefined : { uid, holds: true };
    }
    const ends = { localAddress, localPort, remoteAddress, remotePort };
    return isWithinMachine(ends) ? await tcpPeerOwner(ends) : undefined;
  }

  #changed(place: string, uid: number, known: number): AutotorrentError {
    const line = lineOf(place, `uid:${known}`);
    return new AutotorrentError(
      'CLIENT',
      `${this.#name} is another user's program than before, and was sent nothing: it is of ${shownUser(uid)}, and was of ${shownUser(known)}`,
      {
        hint: `See which program listens there. If the client is of ${shownUser(uid)} now, delete the line "${line}" in ${this.known.file ?? ''}.`,
      },
    );
  }

  #unusable(error: unknown): AutotorrentError {
    return new AutotorrentError(
      'CLIENT',
      `${this.#name} cannot be compared with the clients that are known: ${this.known.file ?? ''}: ${messageOf(error)}`,
      { hint: 'Make this file readable and writable for this user, or delete it.', cause: error },
    );
  }
}
