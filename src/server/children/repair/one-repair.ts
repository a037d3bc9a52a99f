/** The repair of one entry, step by step. Each step is recorded before it is taken, so that a crash loses none. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { bytes } from '../../../app/quantities.ts';
import type { ControlClient } from '../../../control/client.ts';
import type { DoubtedRange, Losses, ServedEntry } from '../../../control/served.ts';
import { AutotorrentError, messageOf } from '../../../errors.ts';
import { jsonText } from '../../../printable.ts';
import type { RepairLine } from '../../processes/repair.ts';
import type { RepairJob, RepairRecord } from '../../processes/repair-record.ts';
import { type Clients, ClientTrouble } from './clients.ts';
import { type LossLimits, mayRepair } from './limits.ts';
import type { ReturnedBytes } from './returned-bytes.ts';

export interface RepairParts {
  readonly config: LossLimits;
  readonly server: Pick<ControlClient, 'entry' | 'status' | 'losses' | 'makeGaps'>;
  readonly record: RepairRecord;
  readonly clients: Clients;
  /** Sections of the configuration that are wrong, each with the reason: their clients cannot be asked. */
  readonly skipped: readonly string[];
  readonly returned: Pick<ReturnedBytes, 'find' | 'map'>;
}

/** What follows once a torrent is stopped of which bytes came back. */
const AFTER_STOP = { found: 'make', mapped: 'check' } as const;

type Outcome = Omit<RepairLine, 'info_hash'>;

/** A check may end before it is seen; after this long one that is not seen has ended. */
const SEEN_MS = 5000;
const LOOK_MS = 250;
/** The longest wait for a check in this process. */
const CHECK_MS = 10_000;
/** A client that finds nothing missing is told to check so often in all. */
const CHECKS = 3;
/** Transmission tells four decimal places. */
const ROUNDING = 0.0001;
const BLOCK = 1024 * 1024;

export class Repair {
  readonly #parts: RepairParts;
  readonly #infoHash: string;
  readonly #report: (line: RepairLine) => void;

  constructor(parts: RepairParts, infoHash: string, report: (line: RepairLine) => void) {
    this.#parts = parts;
    this.#infoHash = infoHash;
    this.#report = report;
  }

  /** Goes as far as it can. @throws AutotorrentError('SERVER'), ('STORE') */
  async run(asked: boolean, returned?: RepairJob['returned']): Promise<void> {
    try {
      this.#say(await this.#run(asked, returned));
    } catch (error) {
      if (error instanceof ClientTrouble) this.#say({ outcome: 'later', message: error.message });
      else if (error instanceof AutotorrentError && error.code === 'NOT_FOUND') this.#say({ outcome: 'gone' });
      else if (error instanceof AutotorrentError && error.code === 'CONFLICT') {
        this.#say({ outcome: 'later', message: error.message });
      } else throw error;
    }
  }

  async #run(asked: boolean, returned: RepairJob['returned']): Promise<Outcome> {
    const { server, record, clients } = this.#parts;
    const entry = await server.entry(this.#infoHash);
    if (entry === undefined || entry.kind === 'external') {
      await record.done(this.#infoHash);
      return { outcome: 'gone' };
    }
    if (entry.state === 'adding') return { outcome: 'later', message: `${jsonText(entry.name)} is being added` };
    clients.introduce(entry);
    let job = record.of(this.#infoHash);
    if (job === undefined) {
      let begun = await this.#begin(entry, asked);
      if ('outcome' in begun && begun.outcome === 'nothing' && returned !== undefined) {
        begun = await this.#beginReturn(entry, returned);
      }
      if ('outcome' in begun) return begun;
      job = begun;
    }
    for (;;) {
      const next = await this.#step(job, entry, asked);
      if ('outcome' in next) return next;
      job = next;
    }
  }

  /** Gives what to say if the limits keep a repair from being made. */
  #refusal(entry: ServedEntry, losses: Losses): Outcome | undefined {
    const { config, record } = this.#parts;
    const verdict = mayRepair(config, entry, losses, record.spent(Date.now()));
    if (verdict.may) return undefined;
    const lost = `${bytes(losses.lostBytes)} of ${jsonText(entry.name)} are lost`;
    const hint = `autotorrent verify --repair ${this.#infoHash} has them downloaded`;
    return { outcome: verdict.outcome, bytes: losses.lostBytes, message: `${lost}: ${verdict.why}; ${hint}` };
  }

  async #begin(entry: ServedEntry, asked: boolean): Promise<RepairJob | Outcome> {
    const { server, record, skipped } = this.#parts;
    const losses = await server.losses(this.#infoHash);
    if (losses.lostBytes === 0) return { outcome: 'nothing' };
    const refused = asked ? undefined : this.#refusal(entry, losses);
    if (refused !== undefined) return refused;
    const lost = `${bytes(losses.lostBytes)} of ${jsonText(entry.name)} are lost`;
    const later = (why: string): Outcome => ({
      outcome: 'later',
      bytes: losses.lostBytes,
      message: `${lost}, and cannot be downloaded yet: ${why}`,
    });
    if ((await server.status()).readOnly) return later('the mount is read-only');
    if (losses.unsettled > 0) return later(`${losses.unsettled} other source(s) of it are waiting or being looked for`);
    const [wrong] = skipped;
    if (wrong !== undefined) return later(wrong);
    let running: string[];
    try {
      running = await this.#running();
    } catch (error) {
      if (error instanceof ClientTrouble) return later(error.message);
      throw error;
    }
    const job: RepairJob = { next: 'stop', running, bytes: losses.lostBytes };
    await record.set(this.#infoHash, job, asked ? 0 : losses.downloadBytes);
    return job;
  }

  /** Nobody is asked before it is known that there is something to map: then it is recorded, for clients that are away. */
  async #beginReturn(entry: ServedEntry, returned: 'found' | 'mapped'): Promise<RepairJob | Outcome> {
    const { server, returned: bytes } = this.#parts;
    const { unsettled } = await server.losses(this.#infoHash);
    if (unsettled > 0) {
      const message = `what came back of ${jsonText(entry.name)} is looked at later: ${unsettled} source(s) of it are waiting or being looked for`;
      return { outcome: 'later', message };
    }
    if (returned === 'found' && !(await bytes.find(entry))) return { outcome: 'nothing' };
    return await this.#keep({ next: 'ask', running: [], bytes: 0, returned });
  }

  async #step(job: RepairJob, entry: ServedEntry, asked: boolean): Promise<RepairJob | Outcome> {
    switch (job.next) {
      case 'ask':
        return await this.#ask(job);
      case 'stop':
        return await this.#stop(job);
      case 'gaps':
        return await this.#beforeGaps(job);
      case 'make':
        return job.returned === undefined ? await this.#makeGaps(job) : await this.#mapReturned(job, entry);
      case 'check':
        return await this.#check(job, asked);
      case 'wait':
        return await this.#wait(job);
      default:
        return await this.#start(job, entry);
    }
  }

  async #ask(job: RepairJob): Promise<RepairJob> {
    const [wrong] = this.#parts.skipped;
    if (wrong !== undefined) throw new ClientTrouble(wrong);
    return await this.#keep({ ...job, next: 'stop', running: await this.#running() });
  }

  /** The client sections in which the torrent runs. @throws ClientTrouble */
  async #running(): Promise<string[]> {
    const states = [...(await this.#parts.clients.states(this.#infoHash))];
    return states.filter(([, { activity }]) => activity !== 'stopped').map(([section]) => section);
  }

  async #stop(job: RepairJob): Promise<RepairJob> {
    const { clients } = this.#parts;
    for (const section of (await clients.states(this.#infoHash)).keys()) {
      await clients.tell(section, 'stop', this.#infoHash);
    }
    await this.#mustBeStopped();
    return await this.#keep({ ...job, next: job.returned === undefined ? 'gaps' : AFTER_STOP[job.returned] });
  }

  /** @throws ClientTrouble */
  async #mustBeStopped(): Promise<void> {
    const { clients } = this.#parts;
    for (const [section, { activity }] of await clients.states(this.#infoHash)) {
      // A check that goes on would believe what it has read before.
      if (activity === 'stopped' || activity === 'error') continue;
      throw new ClientTrouble(`${clients.shown(section) ?? section} does not stop the torrent: it is ${activity}`);
    }
  }

  async #beforeGaps(job: RepairJob): Promise<RepairJob> {
    const { server } = this.#parts;
    const { lostBytes, unsettled } = await server.losses(this.#infoHash);
    // The bytes are there again, or cannot all be read, which a check in rTorrent does not survive.
    if (lostBytes === 0 || unsettled > 0) return await this.#keep({ ...job, next: 'start', bytes: 0 });
    return (await this.#restarted(job)) ?? (await this.#keep({ ...job, next: 'make', bytes: lostBytes }));
  }

  /** Gives what to do first if the user has started it meanwhile. */
  async #restarted(job: RepairJob): Promise<RepairJob | undefined> {
    const states = await this.#parts.clients.states(this.#infoHash);
    const restarted = [...states].filter(([, { activity }]) => activity !== 'stopped' && activity !== 'error');
    if (restarted.length === 0) return undefined;
    const running = [...new Set([...job.running, ...restarted.map(([section]) => section)])];
    return await this.#keep({ ...job, next: 'stop', running });
  }

  async #mapReturned(job: RepairJob, entry: ServedEntry): Promise<RepairJob> {
    const restarted = await this.#restarted(job);
    if (restarted !== undefined) return restarted;
    const bytes = await this.#parts.returned.map(entry);
    return await this.#keep({ ...job, next: bytes > 0 ? 'check' : 'start', bytes });
  }

  /** From here on there may be gaps that no client knows of: whatever happens, the clients must check. */
  async #makeGaps(job: RepairJob): Promise<RepairJob> {
    await this.#mustBeStopped();
    await this.#parts.server.makeGaps(this.#infoHash);
    return await this.#keep({ ...job, next: 'check' });
  }

  async #check(job: RepairJob, asked: boolean): Promise<RepairJob | Outcome> {
    const { server, clients } = this.#parts;
    const failed = await this.#proveDoubted();
    if (failed !== undefined) {
      return job.returned === undefined
        ? { outcome: 'later', bytes: job.bytes, message: failed }
        : await this.#unchecked(job);
    }
    const more = await this.#lostSince(job, asked);
    if (more !== undefined) return more;
    const before = await clients.states(this.#infoHash);
    if (before.size === 0) return await this.#keep({ ...job, next: 'start' });
    for (const section of before.keys()) await clients.tell(section, 'recheck', this.#infoHash);
    await this.#seen();
    const { pid } = await server.status();
    return await this.#keep({ ...job, next: 'wait', server: pid, checks: (job.checks ?? 0) + 1 });
  }

  /** A check cannot be made, nor need it be: no client takes the torrent for more complete than it is. */
  async #unchecked(job: RepairJob): Promise<RepairJob> {
    return await this.#keep({ ...job, next: 'start', checks: 0 });
  }

  /** Gives what to do first if not every byte can be read: a check that meets EIO kills rTorrent. */
  async #lostSince(job: RepairJob, asked: boolean): Promise<RepairJob | Outcome | undefined> {
    const { server, record } = this.#parts;
    const losses = await server.losses(this.#infoHash);
    if (job.returned !== undefined && losses.unsettled + losses.lostBytes > 0) {
      return await this.#unchecked(job);
    }
    if (losses.unsettled > 0) {
      const message = `the torrent stays stopped: ${losses.unsettled} source(s) of it are waiting or being looked for`;
      return { outcome: 'later', bytes: job.bytes, message };
    }
    if (losses.lostBytes === 0) return undefined;
    const entry = await server.entry(this.#infoHash);
    if (entry === undefined) return { outcome: 'gone' };
    const refused = asked ? undefined : this.#refusal(entry, losses);
    if (refused !== undefined) return { ...refused, message: `${refused.message ?? ''}; the torrent stays stopped` };
    const again: RepairJob = { ...job, next: 'make', bytes: job.bytes + losses.lostBytes };
    await record.set(this.#infoHash, again, asked ? 0 : losses.downloadBytes);
    return again;
  }

  /** Waits until the clients show that they check, or have had the time to end. */
  async #seen(): Promise<void> {
    const { clients } = this.#parts;
    const end = performance.now() + SEEN_MS;
    while (performance.now() < end) {
      const states = [...(await clients.states(this.#infoHash)).values()];
      if (states.every(({ activity, progress }) => activity === 'checking' || progress < 1)) return;
      await sleep(LOOK_MS);
    }
  }

  async #wait(job: RepairJob): Promise<RepairJob | Outcome> {
    const { server, clients } = this.#parts;
    // An unmount ends a check, and nobody knows how far it came.
    if (job.server !== (await server.status()).pid) return await this.#keep({ ...job, next: 'check', checks: 0 });
    const end = performance.now() + CHECK_MS;
    let states = await clients.states(this.#infoHash);
    while ([...states.values()].some(({ activity }) => activity === 'checking') && performance.now() < end) {
      await sleep(LOOK_MS);
      states = await clients.states(this.#infoHash);
    }
    const checking = [...states].filter(([, { activity }]) => activity === 'checking');
    if (checking.length > 0) {
      const names = checking.map(([section]) => clients.shown(section) ?? section);
      return { outcome: 'checking', bytes: job.bytes, message: `${names.join(', ')} checks the torrent` };
    }
    const entry = await server.entry(this.#infoHash);
    const most = entry === undefined ? 1 : 1 - entry.missingBytes / entry.size + ROUNDING;
    const believing = [...states].filter(
      ([, { progress }]) => (entry?.missingBytes ?? 0) > 0 && (progress === 1 || progress > most),
    );
    // What a client has downloaded may not be verified here yet.
    if (believing.length === 0 || job.returned !== undefined) return await this.#keep({ ...job, next: 'start' });
    if ((job.checks ?? 0) < CHECKS) return await this.#keep({ ...job, next: 'check' });
    const names = believing.map(([section]) => clients.shown(section) ?? section);
    await this.#keep({ ...job, next: 'check', checks: 0 });
    return {
      outcome: 'later',
      bytes: job.bytes,
      message: `${names.join(', ')} still takes the torrent for complete after ${CHECKS} checks, so it stays stopped`,
    };
  }

  async #start(job: RepairJob, { name }: ServedEntry): Promise<Outcome> {
    const { record, clients } = this.#parts;
    const there = await clients.states(this.#infoHash);
    const isChecked = (job.checks ?? 0) > 0;
    for (const section of job.running) {
      if (there.has(section)) await clients.tell(section, 'start', this.#infoHash, isChecked);
    }
    await record.done(this.#infoHash);
    if (job.bytes === 0 && job.returned !== 'mapped') return { outcome: 'nothing' };
    const names = job.running
      .filter((section) => there.has(section))
      .map((section) => clients.shown(section) ?? section);
    const stopped = there.size === 0 ? 'no client has the torrent' : 'the torrent is stopped in its client, as it was';
    if (job.returned === undefined) {
      const gaps = `${bytes(job.bytes)} of ${jsonText(name)} were lost and are missing now`;
      const who = names.length > 0 ? `${names.join(', ')} downloads them` : stopped;
      return { outcome: 'repaired', bytes: job.bytes, message: `${gaps}: ${who}` };
    }
    const back = `${job.bytes > 0 ? bytes(job.bytes) : 'bytes'} of ${jsonText(name)} that were missing are there again`;
    const told = isChecked ? 'checked the torrent' : 'was not told to check, and downloads them still';
    const who = names.length > 0 ? `${names.join(', ')} ${told}` : stopped;
    return { outcome: 'repaired', bytes: job.bytes, message: `${back}: ${who}` };
  }

  /** Has the server hash what is doubted, by reading it through the mount. Gives the reason why that failed. */
  async #proveDoubted(): Promise<string | undefined> {
    const { server } = this.#parts;
    const entry = await server.entry(this.#infoHash);
    if (entry === undefined) return undefined;
    let before = Number.POSITIVE_INFINITY;
    for (;;) {
      const { doubted } = await server.losses(this.#infoHash);
      const length = doubted.reduce((sum, range) => sum + range.length, 0);
      if (length === 0) return undefined;
      // What cannot be proven, since its piece has a gap, is served as it is.
      if (length >= before) return undefined;
      before = length;
      for (const range of doubted) {
        try {
          await readThrough(join(entry.directory, range.path), range);
        } catch (error) {
          return `${range.path} cannot be read, so the torrent stays stopped: ${messageOf(error)}`;
        }
      }
    }
  }

  async #keep(job: RepairJob): Promise<RepairJob> {
    await this.#parts.record.set(this.#infoHash, job);
    return job;
  }

  #say(outcome: Outcome): void {
    this.#report({ info_hash: this.#infoHash, ...outcome });
  }
}

/** Reads a range of a file of the mount, and drops it. @throws the errors of the file system */
async function readThrough(path: string, { offset, length }: DoubtedRange): Promise<void> {
  const file = await open(path, 'r');
  try {
    const buffer = Buffer.alloc(Math.min(BLOCK, length));
    for (let at = offset; at < offset + length; ) {
      const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, offset + length - at), at);
      if (bytesRead === 0) return;
      at += bytesRead;
    }
  } finally {
    await file.close();
  }
}
