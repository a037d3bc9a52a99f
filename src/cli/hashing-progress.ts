/** The progress line of commands that hash. */
import { bytes, duration } from '../app/quantities.ts';
import type { HashProgress } from '../hash/hash-pool.ts';
import type { Terminal } from './terminal.ts';

/** What is done, the rate, and the time left. */
export function hashingProgress(terminal: Terminal): (progress: HashProgress) => void {
  const began = performance.now();
  return ({ doneBytes, totalBytes }) => {
    const rate = doneBytes / Math.max((performance.now() - began) / 1000, 0.001);
    const left = duration((totalBytes - doneBytes) / Math.max(rate, 1));
    terminal.progress(
      `hashing: ${bytes(doneBytes)} of ${bytes(totalBytes)}, ${bytes(Math.round(rate))}/s, ${left} left`,
    );
  };
}
