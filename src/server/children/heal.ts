/**
 * The healer: settles cases of sources (`heal/`). Runs in a child that `server/processes/healers.ts` starts.
 *
 * It takes cases from the server, and reports what it decided. Cases that a look decides come first; those whose bytes must be
 * aligned are worked on beside them. It ends when no case has come for a while. Killed at any moment it leaves nothing behind:
 * the server hands its cases out again.
 *
 * The usual one gives way to all other programs, and works on one case after the other. The one for urgent cases does not give way, and
 * a slow case holds up no other.
 */

import { requireServer } from '../../app/server-connection.ts';
import { createSettler } from '../../app/settling/settler.ts';
import { sourceRulesNow } from '../../app/source-rules-now.ts';
import type { Config } from '../../config/config.ts';
import type { Healer } from '../../control/case-client.ts';
import type { CaseTicket } from '../../control/cases-served.ts';
import { messageOf } from '../../errors.ts';
import type { Case, Outcome } from '../../heal/case.ts';
import type { Settler } from '../../heal/settle.ts';
import type { Logger } from '../../logger.ts';

export interface HealRequest {
  /** Settles only the cases for which readers wait. */
  readonly urgent: boolean;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** Seconds without a case after which the healer ends. */
const IDLE_SECONDS = 15;
/** Outcomes that are reported together, and milliseconds for which the first of them may wait. */
const REPORT = 500;
const REPORT_MS = 200;

/** Urgent cases that are settled at once, and those whose bytes are aligned at once. */
const MOST_URGENT = 16;
const MOST_ALIGNING = 4;

/** @throws AutotorrentError('SERVER') if the server cannot be asked any longer */
export async function heal(config: Config, { urgent, logger, signal }: HealRequest): Promise<void> {
  const server = await requireServer(config);
  const by: Healer = urgent ? 'urgent' : 'healer';
  const rules = await sourceRulesNow(config, server);
  const settling = createSettler(config, server, { rules, logger, signal, background: !urgent });
  const { settler } = settling;
  const report = async (outcomes: readonly Outcome[]): Promise<void> => {
    await settling.reported(outcomes, await server.cases.outcomes(outcomes, by));
  };
  const aligning = new Aligning(report, urgent ? MOST_ALIGNING : 1, logger);
  const tools: SettlingTools = { report, aligning, logger };
  const underway = new Set<Promise<void>>();
  let failure: unknown;
  try {
    for (;;) {
      signal.throwIfAborted();
      if (failure !== undefined) throw failure;
      const isBusy = aligning.busy || underway.size > 0;
      const tickets = await server.cases.cases(by, isBusy ? 1 : IDLE_SECONDS, signal);
      if (tickets.length === 0) {
        if (!isBusy) return;
        continue;
      }
      settling.begin();
      if (!urgent) {
        await settleAll(settler, tickets, tools);
        continue;
      }
      for (const ticket of tickets) {
        if (underway.size >= MOST_URGENT) await Promise.race(underway);
        const one = settleAll(settler, [ticket], tools)
          .catch((error: unknown) => {
            failure = error;
          })
          .finally(() => underway.delete(one));
        underway.add(one);
      }
    }
  } finally {
    await settling.close();
  }
}

interface SettlingTools {
  readonly report: (outcomes: readonly Outcome[]) => Promise<void>;
  readonly aligning: Aligning;
  readonly logger: Logger;
}

async function settleAll(
  settler: Settler,
  tickets: readonly CaseTicket[],
  { report: send, aligning, logger }: SettlingTools,
): Promise<void> {
  let outcomes: Outcome[] = [];
  let first = 0;
  const report = async (): Promise<void> => {
    if (outcomes.length === 0) return;
    const ready = outcomes;
    outcomes = [];
    await send(ready);
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

/** Aligns the bytes of cases, beside the others. */
class Aligning {
  readonly #report: (outcomes: readonly Outcome[]) => Promise<void>;
  /** Cases at once. */
  readonly #most: number;
  readonly #logger: Logger;
  readonly #works: { readonly one: Case; readonly work: () => Promise<readonly Outcome[]> }[] = [];
  #running = 0;

  constructor(report: (outcomes: readonly Outcome[]) => Promise<void>, most: number, logger: Logger) {
    this.#report = report;
    this.#most = most;
    this.#logger = logger;
  }

  get busy(): boolean {
    return this.#running > 0;
  }

  add(one: Case, work: () => Promise<readonly Outcome[]>): void {
    this.#works.push({ one, work });
    if (this.#running < this.#most) void this.#run();
  }

  async #run(): Promise<void> {
    this.#running++;
    for (let next = this.#works.shift(); next !== undefined; next = this.#works.shift()) {
      const { one, work } = next;
      const outcomes = await attempt(one, this.#logger, work);
      try {
        await this.#report(outcomes);
      } catch (error) {
        // The server hands the case out again.
        this.#logger.debug(`an outcome could not be reported: ${messageOf(error)}`);
      }
    }
    this.#running--;
  }
}
