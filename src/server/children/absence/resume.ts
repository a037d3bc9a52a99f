/** `absence resume`, which the server runs once the mount is there. The states and failures are in docs/absence.md. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../../../config/config.ts';
import { longerPause, type Pauses } from '../../../longer-pause.ts';
import { type Section } from '../sections.ts';
import type { Scope } from './lost.ts';
import { type Obstacle, Recovery } from './recovery.ts';
import {
  type AbsenceRequest,
  clientFailure,
  contact,
  entriesOf,
  hasEnded,
  inEachClient,
  startableEntries,
  type Work,
  withClient,
} from './sections.ts';

/** The client may be started long after the mount. */
const WAIT_MS = 10 * 60_000;
const PAUSES: Pauses = [1000, 30_000];

/** Starts what was stopped and recovers what was not, until every client is done or ten minutes have passed. */
export async function resumeAfterAbsence(config: Config, request: AbsenceRequest): Promise<void> {
  await inEachClient(config, request, resumeIn, async (work) => await tellOfStrangers(config, work));
}

/** Warns of torrents that are stopped in clients whose sections were renamed or removed. */
async function tellOfStrangers(config: Config, { server, record, say }: Work): Promise<void> {
  const strangers = record.sections.filter((name) => !config.clientSections.includes(name));
  if (strangers.length === 0) return;
  const entries = await entriesOf(server);
  for (const name of strangers) {
    const { length } = record.of(name).stopped.filter((hash) => entries.has(hash));
    if (length === 0) continue;
    const shown = name === '' ? '[client]' : `[client-${name}]`;
    say('warn', `${shown} is gone from the configuration: ${length} torrent(s) of its client stay stopped`);
  }
}

async function resumeIn(work: Work, section: Section): Promise<void> {
  const { record, say } = work;
  const { name, config, shown } = section;
  const { needs, stopped } = record.of(name);
  const serving = () => {
    const { stopped: left, unchecked = [] } = record.of(name);
    return record.set(name, { needs: 'serving', stopped: left, unchecked });
  };
  const scope: Scope =
    !work.recover || needs === 'nothing' || needs === 'resume' ? 'none' : needs === 'look' ? 'errors' : 'all';
  // From now on, however the server ends, torrents may lose the mount while they use it.
  if (needs !== 'look') {
    await record.update(name, { needs: 'recover', ...(scope === 'none' ? {} : { pending: scope }) });
  }
  if (scope === 'none' && stopped.length === 0) return await serving();
  const recovery = new Recovery(work, section, new Set((await startableEntries(work)).keys()));
  const patience = new Patience();
  const told = new Set<string>();
  let obstacle: Obstacle | undefined;
  for (let first = true; ; first = false) {
    if ((await startableEntries(work)).size === 0) return await serving();
    let answers = false;
    try {
      await contact(config);
      answers = true;
      obstacle = await withClient(config, async (client) => await recovery.turn(client, scope));
      if (obstacle === undefined) return await serving();
    } catch (error) {
      if (recovery.lostClient()) patience.renew();
      const why = clientFailure(error);
      // Its torrents were stopped in good order, and it has not run without the mount since.
      if (first && !answers && needs === 'resume' && hasEnded(section, error)) {
        await record.update(name, { needs: 'look' });
      }
      obstacle =
        record.of(name).needs === 'look' && stopped.length === 0
          ? { level: 'info', what: 'it will be looked at when it answers', why }
          : { level: 'warn', what: 'its torrents will be started when it answers', why };
    }
    if (recovery.gotOn()) patience.renew();
    const message = `${shown}: ${obstacle.what}: ${obstacle.why}`;
    if (!told.has(message)) say(obstacle.level, message);
    told.add(message);
    if (!(await patience.wait()) && !recovery.isChecking) break;
  }
  if (obstacle.level === 'warn') {
    say('warn', `${shown}: not all of its torrents were started; the next mount tries again: ${obstacle.why}`);
  }
  // The client may still come, and use the mount.
  if (obstacle.level === 'info' || record.of(name).needs === 'look') await serving();
}

/** Waits with growing pauses, up to a total since a torrent was last started. */
class Patience {
  #pause = 0;
  #left = WAIT_MS;

  renew(): void {
    this.#pause = 0;
    this.#left = WAIT_MS;
  }

  /** Waits for the next pause. False when the time is over. */
  async wait(): Promise<boolean> {
    this.#pause = longerPause(this.#pause, PAUSES);
    await sleep(this.#pause);
    this.#left -= this.#pause;
    return this.#left > 0;
  }
}
