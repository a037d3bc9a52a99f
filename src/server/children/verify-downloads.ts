/**
 * Verifies entries that clients wrote to. Runs in a child that `server/processes/download-watch.ts` starts.
 *
 * An entry that a client is checking is left alone and tried again later: both would read the same bytes at the same
 * time, and the client would wait longer. The client's findings are not taken over: the piece map records the pieces
 * that we hashed, and decides what is reported to other clients and what goes to the pool.
 */
import { requireServer } from '../../app/server-connection.ts';
import { Verification } from '../../app/verify.ts';
import type { Config } from '../../config/config.ts';
import type { ServedEntry } from '../../control/served.ts';
import { AutotorrentError, messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import type { VerifierLine } from '../processes/download-watch.ts';
import { ClientChecks } from './client-checks.ts';
import { type ConfigOf, sectionsOf } from './sections.ts';

export interface VerifyDownloadsRequest {
  readonly infoHashes: readonly string[];
  /** The entries to verify even while their client checks them. */
  readonly unasked: ReadonlySet<string>;
  readonly configOf: ConfigOf;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Called once for each info hash. */
  readonly report: (line: VerifierLine) => void;
}

/**
 * @throws AutotorrentError('SERVER') if the server cannot be asked; entries that were not reported are not verified
 *   then
 */
export async function verifyDownloads(config: Config, request: VerifyDownloadsRequest): Promise<void> {
  const { report, logger, signal } = request;
  const server = await requireServer(config);
  const entries: ServedEntry[] = [];
  for (const infoHash of request.infoHashes) {
    const entry = await server.entry(infoHash);
    if (entry === undefined) report({ info_hash: infoHash, outcome: 'gone' });
    else entries.push(entry);
  }
  const sections = await sectionsOf(config, request.configOf, (message) => logger.debug(message));
  const checks = ClientChecks.open(sections, entries, logger);
  const verification = await Verification.open(config, server, { unverified: true, logger, signal, onHashing() {} });
  try {
    for (const entry of entries) {
      signal.throwIfAborted();
      const { infoHash } = entry;
      if (!request.unasked.has(infoHash) && (await checks.isChecking(infoHash))) {
        report({ info_hash: infoHash, outcome: 'checking' });
        continue;
      }
      try {
        await verification.verify(entry);
        report({ info_hash: infoHash, outcome: 'verified' });
      } catch (error) {
        // One entry that cannot be verified must not keep the others from it. Without the server none can be.
        if (signal.aborted || !(error instanceof AutotorrentError) || error.code === 'SERVER') throw error;
        if (error.code === 'NOT_FOUND') report({ info_hash: infoHash, outcome: 'gone' });
        else report({ info_hash: infoHash, outcome: 'failed', message: messageOf(error) });
      }
    }
  } finally {
    await verification.close();
    await checks.close();
  }
}
