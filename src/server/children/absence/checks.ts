/** Tracks the checks that a client was asked to make; a check of a large torrent takes hours. */
import type { TorrentState } from '../../../clients/client.ts';

/** A check without progress for this long hangs, or waits for the checks of other torrents. */
const LIMIT_MS = 2 * 60_000;

export class Checks {
  /** The progress at the last look, by info hash. */
  #left = new Map<string, number | undefined>();
  #hungAt = Number.POSITIVE_INFINITY;

  get infoHashes(): string[] {
    return [...this.#left.keys()];
  }

  has(infoHash: string): boolean {
    return this.#left.has(infoHash);
  }

  begin(infoHashes: readonly string[]): void {
    if (infoHashes.length === 0) return;
    for (const infoHash of infoHashes) this.#left.set(infoHash, undefined);
    this.#hungAt = performance.now() + LIMIT_MS;
  }

  /**
   * Removes and returns the checks that have ended, by the client's states. A torrent that the client does not list
   * stays.
   */
  ended(states: readonly TorrentState[]): TorrentState[] {
    const before = this.#left;
    const own = states.filter(({ infoHash }) => before.has(infoHash));
    const ended = own.filter(({ activity }) => activity !== 'checking');
    const gotOn = ended.length > 0 || own.some((one) => before.get(one.infoHash) !== one.progress);
    this.#left = new Map([...before, ...own.map((one): [string, number] => [one.infoHash, one.progress])]);
    for (const { infoHash } of ended) this.#left.delete(infoHash);
    if (gotOn) this.#hungAt = performance.now() + LIMIT_MS;
    return ended;
  }

  /** Forgets the checks that the client does not run now: a restarted client may have given them up. */
  keepOnly(states: readonly TorrentState[]): void {
    const checking = new Set(states.filter(({ activity }) => activity === 'checking').map(({ infoHash }) => infoHash));
    for (const infoHash of this.#left.keys()) if (!checking.has(infoHash)) this.#left.delete(infoHash);
  }

  /** Returns the checks without progress, once; they may still go on. */
  hanging(states: readonly TorrentState[]): TorrentState[] {
    if (performance.now() <= this.#hungAt) return [];
    this.#hungAt = Number.POSITIVE_INFINITY;
    return states.filter(({ infoHash }) => this.#left.has(infoHash));
  }
}
