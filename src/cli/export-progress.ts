/** The progress line of an export: bytes done, rate, and time left. */
import type { ExportProgress } from '../app/export/export-entry.ts';
import { bytes, duration } from '../app/quantities.ts';
import type { Terminal } from './terminal.ts';

const PAUSE_MS = 100;

export function exportProgress(terminal: Terminal): (progress: ExportProgress) => void {
  let began: number | undefined;
  let shown = 0;
  return ({ doneBytes, totalBytes, copiedBytes }) => {
    const now = performance.now();
    // Set here, since finding out what to copy comes before.
    began ??= now;
    if (now - shown < PAUSE_MS) return;
    shown = now;
    // Bytes that an earlier run copied do not count for the rate of this one.
    const rate = copiedBytes / Math.max((now - began) / 1000, 0.001);
    const left =
      copiedBytes === 0 ? 'checking what is there' : `${duration((totalBytes - doneBytes) / Math.max(rate, 1))} left`;
    terminal.progress(`copying: ${bytes(doneBytes)} of ${bytes(totalBytes)}, ${bytes(Math.round(rate))}/s, ${left}`);
  };
}
