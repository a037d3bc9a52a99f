/** Checks that a client was told to make: that takes hours for large torrents. */
import type { TorrentState } from '../../clients/client.ts';

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

  /** Those that have ended by what the client says now; what it does not have any more is forgotten. */
  ended(states: readonly TorrentState[]): string[] {
    const before = this.#left;
    const own = states.filter(({ infoHash }) => before.has(infoHash));
    const checking = own.filter(({ activity }) => activity === 'checking');
    this.#left = new Map(checking.map(({ infoHash, progress }) => [infoHash, progress]));
    const gotOn = checking.length < before.size || checking.some((one) => before.get(one.infoHash) !== one.progress);
    if (gotOn) this.#hungAt = performance.now() + LIMIT_MS;
    return own.filter(({ activity }) => activity !== 'checking').map(({ infoHash }) => infoHash);
  }

  /** Those that do not get on, once; they may still. */
  hanging(states: readonly TorrentState[]): TorrentState[] {
    if (performance.now() <= this.#hungAt) return [];
    this.#hungAt = Number.POSITIVE_INFINITY;
    return states.filter(({ infoHash }) => this.#left.has(infoHash));
  }
}
