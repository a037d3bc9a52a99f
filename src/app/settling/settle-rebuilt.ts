/** Settles, when a rebuild has ended, the sources that its new index explains. */
import type { Config } from '../../config/config.ts';
import { sourceRules } from '../../config/source-rules.ts';
import { statePaths } from '../../config/state-paths.ts';
import { ControlClient } from '../../control/client.ts';
import type { Logger } from '../../logger.ts';
import { SourceAccess } from '../../source/source-access.ts';
import { sourceRulesNow } from '../source-rules-now.ts';
import { type DisksSeen, lookAtDisks } from './configured-disks.ts';
import { returnBytes } from './return-bytes.ts';
import { settleSources } from './settle-sources.ts';
import { createSettler } from './settler.ts';

/** Sources that were not as recorded, by what became of them. */
export interface SettledCounts {
  /** Their bytes, or what fits of them, are mapped again. */
  readonly mapped: number;
  readonly waiting: number;
  readonly lost: number;
  /** They are not settled yet: files that are written to, for one. */
  readonly open: number;
  /** Bytes of entries that were missing, and are mapped now. */
  readonly returnedBytes: number;
}

/** A rebuild of all disks that begins. */
export interface Rebuilding extends DisksSeen {
  readonly begunMs: number;
}

/** Looks at the disks before a rebuild of all of them. */
export async function beginRebuilding(config: Config): Promise<Rebuilding> {
  const disks = await lookAtDisks(config, new SourceAccess(sourceRules(config)));
  return { ...disks, begunMs: Date.now() };
}

export interface SettleRebuiltRequest {
  /** Undefined if only some paths were read. */
  readonly rebuilt: Rebuilding | undefined;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly onWait: (sources: number) => void;
}

/** Looks at all sources, and for bytes that are missing. Undefined if no server runs: it settles them when it does. */
export async function settleRebuilt(config: Config, request: SettleRebuiltRequest): Promise<SettledCounts | undefined> {
  const { rebuilt, logger, signal, onWait } = request;
  const server = await ControlClient.connect(statePaths(config.statePath).socket);
  if (server === undefined) return undefined;
  if (rebuilt !== undefined) await server.cases.indexRenewed(rebuilt.disks, rebuilt.begunMs);
  const rules = await sourceRulesNow(config, server);
  const access = new SourceAccess(rules, { logger });
  const sources = () => server.cases.below(Buffer.from('/'));
  const settled = await settleSources(sources, { server, access, signal, sinceMs: rebuilt?.begunMs, onWait });
  const settling = createSettler(config, server, { rules, logger, signal });
  let returnedBytes = 0;
  try {
    for (const entry of await server.entries()) {
      signal.throwIfAborted();
      returnedBytes += await returnBytes(entry, server, settling);
    }
  } finally {
    await settling.close();
  }
  const count = (...states: readonly string[]): number => settled.filter(({ state }) => states.includes(state)).length;
  return {
    mapped: count('trusted', 'doubted', 'remapped'),
    waiting: count('waiting'),
    lost: count('lost'),
    open: count('healing'),
    returnedBytes,
  };
}
