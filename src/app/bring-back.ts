/** Brings back the files of an entry that were deleted, cut off or overwritten in the mount. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ControlClient } from '../control/client.ts';
import type { Discarded, ServedEntry } from '../control/served.ts';
import { AutotorrentError } from '../errors.ts';
import { fileCount } from './quantities.ts';

type Server = Pick<ControlClient, 'discard' | 'entry'>;

/** Of the pauses in which a file that was just closed is waited for; together they take a second and a half. */
const LONGEST_PAUSE_MS = 800;

export function whatIsGone({ deletedFiles, overwrittenFiles }: ServedEntry): string {
  const were = (files: number, what: string): string[] =>
    files === 0 ? [] : [`${fileCount(files)} ${files === 1 ? 'was' : 'were'} ${what}`];
  const gone = [...were(deletedFiles, 'deleted'), ...were(overwrittenFiles, 'overwritten')].join(' and ');
  return `${gone} in the mount: --force brings ${deletedFiles + overwrittenFiles === 1 ? 'it' : 'them'} back`;
}

/**
 * Gives the files their names and bytes again, and returns the entry as it is then.
 * @throws AutotorrentError('CONFLICT') for files that are open, whose names other files have now, or that hold verified
 *   bytes of clients; ('NOT_FOUND')
 */
export async function broughtBack(server: Server, infoHash: string): Promise<ServedEntry> {
  const { kept } = await discarded(server, infoHash);
  const [first] = kept;
  if (first !== undefined) {
    const others = kept.length === 1 ? '' : `, and ${kept.length - 1} more like it`;
    throw new AutotorrentError(
      'CONFLICT',
      `${JSON.stringify(first.path)} cannot be brought back: ${first.reason}${others}`,
    );
  }
  const entry = await server.entry(infoHash);
  if (entry !== undefined) return entry;
  throw new AutotorrentError('NOT_FOUND', 'another command took it out meanwhile: add it again');
}

/** The kernel reports a moment later that a client has closed a file. */
async function discarded(server: Server, infoHash: string): Promise<Discarded> {
  for (let pauseMs = 50; ; pauseMs *= 2) {
    try {
      return await server.discard(infoHash, 'deleted');
    } catch (error) {
      if (!(error instanceof AutotorrentError && error.code === 'CONFLICT') || pauseMs > LONGEST_PAUSE_MS) throw error;
      await sleep(pauseMs);
    }
  }
}
