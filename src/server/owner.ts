/** Whose the files in the mount are, and how that changes while it is served. */
import { setTimeout as delay } from 'node:timers/promises';
import type { MountOwner } from '../config/mount-owner.ts';
import type { Logger } from '../logger.ts';
import { shownUser } from '../native/accounts.ts';
import { ATTRIBUTES_MS } from '../vfs/operations.ts';

/** After so long no kernel has older attributes. */
const STALE_MS = ATTRIBUTES_MS + 250;

export interface OwnerParts {
  /** The owner that follows from the configuration and from what the state knows of clients. */
  readonly find: () => Promise<MountOwner>;
  readonly set: (owner: MountOwner) => void;
  readonly logger: Logger;
}

export class Owner {
  readonly #parts: OwnerParts;
  #now: MountOwner;
  #last: Promise<unknown> = Promise.resolve();

  constructor(now: MountOwner, parts: OwnerParts) {
    this.#now = now;
    this.#parts = parts;
  }

  get now(): MountOwner {
    return this.#now;
  }

  /** Looks again, and gives the owner that the kernel shows by now. @throws the errors of `find` */
  async look(): Promise<MountOwner> {
    const turn = this.#last.then(async () => await this.#look());
    this.#last = turn.catch(() => undefined);
    return await turn;
  }

  async #look(): Promise<MountOwner> {
    const { find, set, logger } = this.#parts;
    const owner = await find();
    const before = this.#now;
    this.#now = owner;
    if (owner.uid === before.uid && owner.gid === before.gid) return owner;
    set(owner);
    logger.info(`the files in the mount belong to ${shownUser(owner.uid)} now`);
    await delay(STALE_MS, undefined, { ref: false });
    return owner;
  }
}
