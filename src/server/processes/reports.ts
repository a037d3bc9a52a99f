/** Hears what a child of the server reports: a JSON document a line. */
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import type { Child } from './start-child.ts';

/** Calls `listen` for each report. A line that is cut, of a child that was ended, is none. */
export function onReports(child: Child['child'], listen: (report: unknown) => void): Interface {
  return createInterface({ input: child.stdout }).on('line', (line) => {
    let report: unknown;
    try {
      report = JSON.parse(line);
    } catch {
      return;
    }
    listen(report);
  });
}

/** Like `onReports`; resolves when the child has ended and all is heard. @throws Error if it could not be started */
export async function reportsUntilEnd(child: Child['child'], listen: (report: unknown) => void): Promise<void> {
  const lines = onReports(child, listen);
  // The first rejects if the child could not be started.
  await Promise.all([once(child, 'close'), once(lines, 'close')]);
}
