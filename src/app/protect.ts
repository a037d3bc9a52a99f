/** `autotorrent protect`: has the sources of entries pinned now (`docs/sources.md`, "Pins"). */
import type { Config } from '../config/config.ts';
import type { ProtectedEntry } from '../control/served.ts';
import { AutotorrentError } from '../errors.ts';
import { requireServer } from './server-connection.ts';

/** Pins the sources of these entries, or of all. @throws AutotorrentError('NOT_FOUND') before anything is pinned */
export async function* protectEntries(
  config: Config,
  ids: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<ProtectedEntry> {
  const server = await requireServer(config);
  const entries = new Map<string, string>();
  for (const id of ids) {
    const entry = await server.entry(id);
    if (entry === undefined) {
      throw new AutotorrentError('NOT_FOUND', `there is no entry ${id}`, { hint: 'autotorrent list shows them' });
    }
    entries.set(entry.infoHash, entry.name);
  }
  if (ids.length === 0) for (const { infoHash, name } of await server.entries()) entries.set(infoHash, name);
  for (const [infoHash, name] of entries) {
    signal.throwIfAborted();
    yield { name, infoHash, ...(await server.protect(infoHash)) };
  }
}
