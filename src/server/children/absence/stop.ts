/** `absence stop`, which the server runs before the mount goes away. The states and failures are in docs/absence.md. */

import { introduce } from '../../../app/introduce.ts';
import type { Config } from '../../../config/config.ts';
import { type Section } from '../sections.ts';
import { hasLost, isUnsettled, isUnsure } from './lost.ts';
import {
  type AbsenceRequest,
  clientFailure,
  contact,
  entriesOf,
  hasEnded,
  hashesOf,
  inEachClient,
  type Work,
  withClient,
} from './sections.ts';
import { settledStates } from './settled.ts';

const SETTLE_LIMIT_MS = 5000;

/** Stops the clients' torrents of this store and records which. A client's failure is reported, never thrown. */
export async function stopForAbsence(config: Config, request: AbsenceRequest): Promise<void> {
  await inEachClient(config, request, async (work, section) => {
    try {
      await stopIn(work, section);
    } catch (error) {
      const { needs } = work.record.of(section.name);
      const failure = clientFailure(error);
      if (hasEnded(section, error) && (needs === 'serving' || needs === 'look')) {
        await work.record.update(section.name, { needs: 'look' });
        work.say('info', `${section.shown} is not running, so there is nothing to stop: ${failure}`);
        return;
      }
      const later = work.recover ? 'the next mount starts them anew' : 'stop and start them yourself';
      work.say('warn', `${section.shown}: its torrents were not stopped, ${later}: ${failure}`);
    }
  });
}

async function stopIn({ server, record, recover, repairing }: Work, { name, config }: Section): Promise<void> {
  const entries = await entriesOf(server);
  const hashes = [...entries.keys()];
  const { needs, stopped: listed, unchecked: toCheck = [], pending } = record.of(name);
  const before = listed.filter((hash) => entries.has(hash) && !repairing.has(hash));
  if (hashes.length === 0) return record.set(name, { needs: 'resume', stopped: [] });
  await contact(config);
  await withClient(config, async (client) => {
    introduce(client, entries.values());
    const expected = { infoHashes: hashes, awaited: before, isVague: isUnsettled, quietMs: 0 };
    const states = await settledStates(client, expected, SETTLE_LIMIT_MS);
    const known = states.filter((state) => !isUnsettled(state));
    const active = known.filter(({ activity }) => activity !== 'stopped');
    const running = new Set(hashesOf(active));
    // Torrents that the client has not loaded yet stay ours to start, too.
    const stopped = [
      ...before.filter((hash) => !running.has(hash)),
      ...[...running].filter((hash) => !repairing.has(hash)),
    ];
    // Torrents of a recovery that did not happen must still be checked.
    const scope = !recover ? 'none' : needs === 'look' ? 'errors' : (pending ?? 'none');
    const unsure = active.filter(
      (state) => hasLost(state, entries, scope) && isUnsure(state) && !repairing.has(state.infoHash),
    );
    const unchecked = [...new Set([...toCheck.filter((hash) => stopped.includes(hash)), ...hashesOf(unsure)])];
    await record.set(name, { needs: 'recover', stopped, unchecked });
    if (running.size > 0) await client.stop([...running]);
    // If some are unsettled, or none is loaded, nobody knows which of the others run: the next mount looks at them.
    if (known.length === states.length && states.length > 0) {
      await record.set(name, { needs: 'resume', stopped, unchecked });
    }
  });
}
