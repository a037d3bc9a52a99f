/** `autotorrent show`: one entry, its files, where their bytes come from, and what of it was verified. */
import type { Config } from '../config/config.ts';
import { AutotorrentError } from '../errors.ts';
import type { EntryMessage, FileMessage } from './control/messages.ts';
import { requireServer } from './server-connection.ts';

export interface ShownEntry {
  readonly entry: EntryMessage;
  /** One after the other: there may be 200,000. */
  readonly files: AsyncIterable<FileMessage>;
}

/** @throws AutotorrentError('NOT_FOUND') */
export async function showEntry(config: Config, id: string): Promise<ShownEntry> {
  const server = await requireServer(config);
  const entry = await server.entry(id);
  if (entry === undefined) {
    throw new AutotorrentError('NOT_FOUND', `there is no entry ${id}`, { hint: 'autotorrent list shows them' });
  }
  return { entry, files: server.files(entry.info_hash) };
}
