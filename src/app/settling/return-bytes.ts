/**
 * Maps bytes that were missing and lie in the collection now: a lost file was restored, or one came that was not there when the
 * torrent was added. Each piece is hashed before; what a client has written meanwhile stays above it.
 */
import type { ControlClient } from '../../control/client.ts';
import type { ServedEntry } from '../../control/served.ts';
import type { OpenSettler } from './settler.ts';

/** Returns the number of bytes that are missing no longer. @throws the errors of the index and the pool */
export async function returnBytes(
  { infoHash, kind, missingBytes }: ServedEntry,
  server: ControlClient,
  settling: OpenSettler,
): Promise<number> {
  if (kind === 'external' || missingBytes === 0) return 0;
  settling.changed();
  const found = await settling.settler.fillGaps(infoHash);
  if (found.length === 0) return 0;
  await server.cases.outcomes(found);
  const left = (await server.entry(infoHash))?.missingBytes ?? 0;
  return Math.max(0, missingBytes - left);
}
