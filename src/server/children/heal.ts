/**
 * The healer: settles cases of sources (`heal/`). Runs in a child that `server/processes/healer.ts` starts.
 *
 * It gives way to all other programs, takes cases from the server, and reports what it decided. Cases that a look decides come
 * first; those whose bytes must be aligned are worked on beside them, one after the other. It ends when no case has come for a
 * while. Killed at any moment it leaves nothing behind: the server hands its cases out again.
 */

import { requireServer } from '../../app/server-connection.ts';
import { createSettler } from '../../app/settling/settler.ts';
import type { Config } from '../../config/config.ts';
import type { CaseClient } from '../../control/case-client.ts';
import type { CaseTicket } from '../../control/cases-served.ts';
import { messageOf } from '../../errors.ts';
import type { Case, Outcome } from '../../heal/case.ts';
import type { Settler } from '../../heal/settle.ts';
import type { Logger } from '../../logger.ts';

export interface HealRequest {
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** Seconds without a case after which the healer ends. */
const IDLE_SECONDS = 15;
/** Outcomes that are reported together, and milliseconds for which the first of them may wait. */
const REPORT = 500;
const REPORT_MS = 200;

/** @throws AutotorrentError('SERVER') if the server cannot be asked any longer */
export async function heal(config: Config, { logger, signal }: HealRequest): Promise<void> {
  const server = await requireServer(config);
  const settling = createSettler(config, server, { logger, signal, background: true });
  const aligning = new Aligning(server.cases, () => settling.changed(), logger);
  try {
    for (;;) {
      signal.throwIfAborted();
      const tickets = await server.cases.cases(aligning.busy ? 1 : IDLE_SECONDS, signal);
      if (tickets.length === 0) {
        if (!aligning.busy) return;
        continue;
      }
      settling.begin();
      const { settler, changed } = settling;
      await settleAll(settler, tickets, { client: server.cases, aligning, changed, logger });
    }
  } finally {
    await settling.close();
  }
}

interface SettlingTools {
  readonly client: CaseClient;
  readonly aligning: Aligning;
  /** Called after records have changed. */
  readonly changed: () => void;
  readonly logger: Logger;
}

async function settleAll(
  settler: Settler,
  tickets: readonly CaseTicket[],
  { client, aligning, changed, logger }: SettlingTools,
): Promise<void> {
  let outcomes: Outcome[] = [];
  let first = 0;
  const report = async (): Promise<void> => {
    if (outcomes.length === 0) return;
    const ready = outcomes;
    outcomes = [];
    await client.outcomes(ready);
    changed();
  };
  // The cases of a folder come together: where the first one went, the others are looked for first.
  const sorted = tickets.toSorted(
    (a, b) => Number(b.urgent) - Number(a.urgent) || Buffer.compare(a.one.record.path, b.one.record.path),
  );
  for (const { one, urgent, infoHashes } of sorted) {
    const found = await attempt(one, logger, async () => await settler.settle(one, infoHashes));
    if ('work' in found) aligning.add(one, found.work);
    else {
      if (outcomes.length === 0) first = performance.now();
      outcomes.push(...found);
      if (urgent || outcomes.length >= REPORT || performance.now() - first > REPORT_MS) await report();
    }
  }
  await report();
}

/** A case that fails must not keep the others from being settled. */
async function attempt<T>(one: Case, logger: Logger, work: () => Promise<T>): Promise<T | Outcome[]> {
  try {
    return await work();
  } catch (error) {
    const reason = messageOf(error);
    logger.debug(`${one.record.path.toString()}: ${reason}`);
    return [{ kind: 'later', id: one.id, reason: reason.slice(0, 1000) }];
  }
}

/** Aligns the bytes of cases, one after the other, beside the others. */
class Aligning {
  readonly #client: CaseClient;
  readonly #changed: () => void;
  readonly #logger: Logger;
  readonly #works: { readonly one: Case; readonly work: () => Promise<readonly Outcome[]> }[] = [];
  #running = false;

  constructor(client: CaseClient, changed: () => void, logger: Logger) {
    this.#client = client;
    this.#changed = changed;
    this.#logger = logger;
  }

  get busy(): boolean {
    return this.#running;
  }

  add(one: Case, work: () => Promise<readonly Outcome[]>): void {
    this.#works.push({ one, work });
    if (!this.#running) void this.#run();
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (let next = this.#works.shift(); next !== undefined; next = this.#works.shift()) {
      const { one, work } = next;
      const outcomes = await attempt(one, this.#logger, work);
      try {
        await this.#client.outcomes(outcomes);
        this.#changed();
      } catch (error) {
        // The server hands the case out again.
        this.#logger.debug(`an outcome could not be reported: ${messageOf(error)}`);
      }
    }
    this.#running = false;
  }
}
