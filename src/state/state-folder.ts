/** The folders of a store's state: `state_path`, and the pool beside the index. */
import type { Logger } from '../logger.ts';
import { keepPrivate } from './private-folder.ts';

/** What the program makes in `state_path`, and `mkfs` in a disk of its own. */
const NAMES =
  /^(store|overlay|set-aside|pooled|ballast|socket|server\.log|known_daemons|(absence|repair)\.json(\.new)?|lost\+found)$/;

/**
 * Makes `state_path`, or checks it, and closes it and what is in it to other users.
 * @throws AutotorrentError('STORE')
 */
export function keepStatePrivate(statePath: string, logger: Logger): void {
  keepPrivate(statePath, { code: 'STORE', what: 'the state folder', make: true, ours: NAMES, logger });
}

/** Checks `state_path`, if it exists, for a command that only reads what lies there. @throws AutotorrentError('STORE') */
export function checkState(statePath: string): void {
  keepPrivate(statePath, { code: 'STORE', what: 'the state folder', make: false, open: 'look' });
}

/**
 * Checks the pool, if there is one, and closes its folders. Their files keep their modes, which the mount shows.
 * @throws AutotorrentError('INDEX')
 */
export function keepPoolPrivate(pool: string, logger: Logger): void {
  keepPrivate(pool, { code: 'INDEX', what: 'the pool of completed files', make: false, files: false, logger });
}
