/** Checks that a client was told to make: that takes hours for large torrents. */
import type { TorrentState } from '../../../clients/client.ts';

/** A check that does not get on for so long hangs, or waits for the checks of other torrents. */
const LIMIT_MS = 2 * 60_000;

export class Checks {
  /** By info hash: the progress when it was last looked at. */
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

  /** Those that have ended by what the client says now; what it does not have is neither. */
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

  /** The client may have forgotten what it does not check any more, or does not have. */
  keepOnly(states: readonly TorrentState[]): void {
    const checking = new Set(states.filter(({ activity }) => activity === 'checking').map(({ infoHash }) => infoHash));
    for (const infoHash of this.#left.keys()) if (!checking.has(infoHash)) this.#left.delete(infoHash);
  }

  /** Those that do not get on, once; they may still. */
  hanging(states: readonly TorrentState[]): TorrentState[] {
    if (performance.now() <= this.#hungAt) return [];
    this.#hungAt = Number.POSITIVE_INFINITY;
    return states.filter(({ infoHash }) => this.#left.has(infoHash));
  }
}
