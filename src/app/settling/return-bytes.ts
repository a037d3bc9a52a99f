/**
 * Maps bytes that were missing and lie in the collection now: a lost file was restored, or one came that was not there when the
 * torrent was added. Each piece is hashed before; what a client has written meanwhile stays above it.
 */
import type { ControlClient } from '../../control/client.ts';
import type { ServedEntry } from '../../control/served.ts';
import type { Remap } from '../../heal/case.ts';
import type { OpenSettler } from './settler.ts';

/** Finds and maps them, and has the clients told. Returns the bytes that are missing no longer. @throws the errors of the index and the pool */
export async function returnBytes(entry: ServedEntry, server: ControlClient, settling: OpenSettler): Promise<number> {
  if (entry.kind === 'external' || entry.missingBytes === 0) return 0;
  settling.changed();
  const bytes = await mapReturned(entry, server, await settling.settler.fillGaps(entry.infoHash));
  if (bytes > 0) await server.returned(entry.infoHash);
  return bytes;
}

/** Maps what was found. Returns the bytes that are missing no longer. */
export async function mapReturned(
  { infoHash, missingBytes }: ServedEntry,
  server: Pick<ControlClient, 'entry' | 'cases'>,
  found: readonly Remap[],
): Promise<number> {
  if (found.length === 0) return 0;
  await server.cases.outcomes(found);
  const left = (await server.entry(infoHash))?.missingBytes ?? 0;
  return Math.max(0, missingBytes - left);
}
