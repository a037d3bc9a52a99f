/** `autotorrent overlay diff` and `overlay discard`: shows what clients wrote over an entry, and drops it. */
import type { Config } from '../config/config.ts';
import type { ControlClient } from '../control/client.ts';
import type { Discarded, ServedDifference, ServedEntry } from '../control/served.ts';
import { AutotorrentError } from '../errors.ts';
import { requireServer } from './server-connection.ts';

export interface OverlayChanges {
  readonly entry: ServedEntry;
  /** Changes one after the other: there may be 200,000. */
  readonly differences: AsyncIterable<ServedDifference>;
  /** Drops all changes, or those of some files and folders: paths below the entry's directory, or absolute ones in it. */
  readonly discard: (paths: readonly string[]) => Promise<Discarded>;
}

/** @throws AutotorrentError('NOT_FOUND') */
export async function overlayChanges(config: Config, id: string): Promise<OverlayChanges> {
  const server = await requireServer(config);
  const entry = await mustHave(server, id);
  return {
    entry,
    differences: server.differences(entry.infoHash),
    discard: async (paths) => {
      const files = paths.map((path) => belowEntry(path, entry));
      return await server.discard(entry.infoHash, files.length === 0 ? undefined : files);
    },
  };
}

/** @throws AutotorrentError('NOT_FOUND') */
export async function mustHave(server: ControlClient, id: string): Promise<ServedEntry> {
  const entry = await server.entry(id);
  if (entry !== undefined) return entry;
  throw new AutotorrentError('NOT_FOUND', `there is no entry ${id}`, { hint: 'autotorrent list shows them' });
}

/** Bytes of names that are not UTF-8 may be given as `overlay diff` prints them: Node reads an argument as text. */
function belowEntry(given: string, { directory }: ServedEntry): string {
  const path = given.replaceAll(/(?<!\\)\\u\{(dc[89a-f][0-9a-f])\}/g, (_, code: string) =>
    String.fromCharCode(Number.parseInt(code, 16)),
  );
  return path.startsWith(`${directory}/`) ? path.slice(directory.length + 1) : path;
}

/** Tells whether a path, in the form that `discard` takes, means a difference. */
export function means(path: string, { path: planned, named }: ServedDifference, entry: ServedEntry): boolean {
  const wanted = belowEntry(path, entry)
    .replace(/^(?:\.?\/)+/, '')
    .replace(/\/+$/, '');
  return [planned, ...named].some((name) => wanted === '' || name === wanted || name.startsWith(`${wanted}/`));
}
