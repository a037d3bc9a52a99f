/** The progress line of commands that hash. */
import { bytes, duration } from '../app/quantities.ts';
import type { HashProgress } from '../hash/hash-pool.ts';
import type { Terminal } from './terminal.ts';

/** `readTorrents`: how many `add` has read so far; it reads torrents while others are hashed. */
type Progress = HashProgress & { readonly readTorrents?: number; readonly torrents?: number };

/** The period that the rate is measured over, in milliseconds: short, so that it follows a change of disks. */
const RATE_MS = 10_000;

/** Shows the bytes done, the rate, and the time left. */
export function hashingProgress(terminal: Pick<Terminal, 'progress'>): (progress: Progress) => void {
  const rate = new Rate(performance.now());
  return (progress) => terminal.progress(`hashing: ${progressText(progress, rate.at(performance.now(), progress))}`);
}

/** `bytesPerSecond`: undefined while it is unknown. */
export function progressText(progress: Progress, bytesPerSecond: number | undefined): string {
  const { doneBytes, totalBytes, readTorrents = 0, torrents = 0 } = progress;
  const done = `${bytes(doneBytes)} of ${bytes(totalBytes)}`;
  if (bytesPerSecond === undefined || bytesPerSecond <= 0) return done;
  // Unread torrents are assumed to be as large as those that were read.
  const guessed = readTorrents > 0 && readTorrents < torrents;
  const total = guessed ? (totalBytes * torrents) / readTorrents : totalBytes;
  const left = duration((total - doneBytes) / bytesPerSecond);
  const rest = guessed ? `about ${left} left, ${readTorrents} of ${torrents} torrents read` : `${left} left`;
  return `${done}, ${bytes(Math.round(bytesPerSecond))}/s, ${rest}`;
}

/** Computes the bytes per second over the last while. */
export class Rate {
  readonly #points: { readonly ms: number; readonly doneBytes: number }[];

  constructor(beganMs: number) {
    this.#points = [{ ms: beganMs, doneBytes: 0 }];
  }

  at(ms: number, { doneBytes }: HashProgress): number | undefined {
    this.#points.push({ ms, doneBytes });
    while (this.#points.length > 2 && (this.#points[1]?.ms ?? ms) <= ms - RATE_MS) this.#points.shift();
    const first = this.#points[0];
    if (first === undefined || ms <= first.ms) return undefined;
    return ((doneBytes - first.doneBytes) / (ms - first.ms)) * 1000;
  }
}
