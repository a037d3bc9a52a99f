/**
 * The user whom a client's program runs as on this machine: the one who reads and writes the mount.
 *
 * The kernel says whose socket a connection leads to. That may be another program's: of a web server or a tunnel before the
 * client, or of what forwards the port of a container. So the user counts only if a program of his has a name of this client.
 * Whatever else answers is as a client on another machine: nobody knows whom it runs as.
 */
import { messageOf } from '../../errors.ts';
import { accountOf } from '../../native/accounts.ts';
import { findProgram } from '../../native/programs.ts';
import type { ClientProgram, Learnt, ProgramUser } from '../client.ts';
import type { Listener } from './listener.ts';

export interface ProgramPlace {
  /** What a program at the client's address is known by (`placeOf`). */
  readonly place: string;
  /** The names of the client's programs. */
  readonly names: readonly string[];
}

export class ListeningProgram implements ClientProgram {
  readonly client: string;
  readonly #listener: Listener;
  readonly #at: ProgramPlace;

  constructor(client: string, listener: Listener, at: ProgramPlace) {
    this.client = client;
    this.#listener = listener;
    this.#at = at;
  }

  learn(): Learnt | undefined {
    const { uid, known } = this.#listener;
    if (uid === undefined) return undefined;
    const { place, names } = this.#at;
    const found = findProgram(uid, names);
    const name = accountOf(uid)?.name;
    const user: ProgramUser | undefined = found && { uid, gid: found.gid, ...(name === undefined ? {} : { name }) };
    let isNew = user !== undefined;
    let forgotten: string | undefined;
    try {
      isNew = known.rememberProgramUser(place, user) && user !== undefined;
    } catch (error) {
      forgotten = `${known.file ?? ''}: ${messageOf(error)}`;
    }
    return user && { user, isNew, ...(forgotten === undefined ? {} : { forgotten }) };
  }
}
