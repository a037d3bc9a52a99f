/**
 * `repair`, which the server runs when entries have lost bytes. The states and failures are in docs/sources.md, "What is
 * lost".
 *
 * It takes each entry as far as it can without a long wait, and ends: the server runs it again for those that wait for a
 * client, or for its check.
 */
import { requireServer } from '../../../app/server-connection.ts';
import type { Config } from '../../../config/config.ts';
import { statePaths } from '../../../config/state-paths.ts';
import type { Logger } from '../../../logger.ts';
import type { RepairLine } from '../../processes/repair.ts';
import { RepairRecord } from '../../processes/repair-record.ts';
import { type ConfigOf, sectionsOf } from '../sections.ts';
import { Clients } from './clients.ts';
import { Repair } from './one-repair.ts';
import { ReturnedBytes } from './returned-bytes.ts';

export interface RepairRequest {
  readonly infoHashes: readonly string[];
  /** The entries that the user asked for: limits do not count. */
  readonly asked: ReadonlySet<string>;
  /** Entries with bytes that came back: to be looked for, or mapped already. */
  readonly returned: ReadonlyMap<string, 'found' | 'mapped'>;
  readonly configOf: ConfigOf;
  readonly logger: Logger;
  /** Called at least once for each info hash; the last line has the outcome. */
  readonly report: (line: RepairLine) => void;
}

/** @throws AutotorrentError('SERVER'), ('STORE'): the server tries again what was not reported */
export async function repairEntries(config: Config, request: RepairRequest): Promise<void> {
  const { report, logger } = request;
  const server = await requireServer(config);
  const record = RepairRecord.read(statePaths(config.statePath).repair, (message) => logger.warn(message));
  const skipped: string[] = [];
  const sections = await sectionsOf(config, request.configOf, (message) => skipped.push(message));
  const clients = new Clients(sections);
  const returned = new ReturnedBytes(config, server, logger);
  try {
    for (const infoHash of new Set([...record.infoHashes, ...request.infoHashes])) {
      const repair = new Repair({ config, server, record, clients, skipped, returned }, infoHash, report);
      await repair.run(request.asked.has(infoHash), request.returned.get(infoHash));
    }
  } finally {
    await clients.close();
    await returned.close();
  }
}
