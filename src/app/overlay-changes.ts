/** `autotorrent overlay diff` and `overlay discard`: what clients wrote over an entry, and dropping it. */
import type { Config } from '../config/config.ts';
import type { ControlClient } from '../control/client.ts';
import type { DifferenceMessage, DiscardMessage, EntryMessage } from '../control/messages.ts';
import { AutotorrentError } from '../errors.ts';
import { requireServer } from './server-connection.ts';

export interface OverlayChanges {
  readonly entry: EntryMessage;
  /** One after the other: there may be 200,000. */
  readonly differences: AsyncIterable<DifferenceMessage>;
  /** Drops them, or those of some files and folders: paths below the entry's directory, or absolute ones in it. */
  readonly discard: (paths: readonly string[]) => Promise<DiscardMessage>;
}

/** @throws AutotorrentError('NOT_FOUND') */
export async function overlayChanges(config: Config, id: string): Promise<OverlayChanges> {
  const server = await requireServer(config);
  const entry = await mustHave(server, id);
  return {
    entry,
    differences: server.differences(entry.info_hash),
    discard: async (paths) => {
      const files = paths.map((path) => belowEntry(path, entry));
      return await server.discard(entry.info_hash, files.length === 0 ? {} : { files });
    },
  };
}

/** @throws AutotorrentError('NOT_FOUND') */
export async function mustHave(server: ControlClient, id: string): Promise<EntryMessage> {
  const entry = await server.entry(id);
  if (entry !== undefined) return entry;
  throw new AutotorrentError('NOT_FOUND', `there is no entry ${id}`, { hint: 'autotorrent list shows them' });
}

function belowEntry(path: string, { directory }: EntryMessage): string {
  return path.startsWith(`${directory}/`) ? path.slice(directory.length + 1) : path;
}

/** Whether a path as `discard` takes it means a difference. */
export function means(path: string, { path: planned, named }: DifferenceMessage, entry: EntryMessage): boolean {
  const wanted = belowEntry(path, entry)
    .replace(/^(?:\.?\/)+/, '')
    .replace(/\/+$/, '');
  return [planned, ...named].some((name) => wanted === '' || name === wanted || name.startsWith(`${wanted}/`));
}
