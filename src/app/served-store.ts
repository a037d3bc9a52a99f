/**
 * What a running server does when it is asked: the functions behind the control socket's routes.
 *
 * Invariant 5 holds here: nothing scans, hashes or talks to a client, and whatever is as large as a torrent (a plan,
 * an entry's list of files) is worked off in slices, between which the mount is served.
 */
import { join } from 'node:path';
import { AutotorrentError } from '../errors.ts';
import { GAP, ZEROS } from '../extent/extent.ts';
import { readPlan } from '../plan/codec.ts';
import type { Entry } from '../store/entry.ts';
import type { Store } from '../store/store.ts';
import type { Vfs } from '../vfs/vfs.ts';
import type { EntryMessage, ExtentMessage, ExternalRequest, FileMessage, StatusMessage } from './control/messages.ts';
import { shownPath } from './shown-path.ts';

export interface ServerFacts {
  readonly version: string;
  readonly driver: string;
  readonly mountPoint: string;
  readonly visibleTo: 'everyone' | 'owner';
  readonly startedMs: number;
}

export class ServedStore {
  readonly #store: Store;
  readonly #vfs: Vfs;
  readonly #facts: ServerFacts;
  readonly #shutdown: () => void;

  constructor(store: Store, vfs: Vfs, facts: ServerFacts, shutdown: () => void) {
    this.#store = store;
    this.#vfs = vfs;
    this.#facts = facts;
    this.#shutdown = shutdown;
  }
}
