import { closeSync, openSync, readSync } from 'node:fs';
import type { ReferenceKind } from '../lib/row.ts';
import { secondsOf } from '../lib/setting.ts';

export const READ_THROUGH: ReferenceKind = {
  name: 'reading in one thread',
  stands_for: 'One thread that reads the same files from the page cache, and does nothing with them.',
};

export async function readThroughSeconds(paths: readonly string[]): Promise<number> {
  const buffer = Buffer.allocUnsafe(256 * 1024);
  return await secondsOf(() => {
    for (const path of paths) {
      const file = openSync(path, 'r');
      while (readSync(file, buffer) > 0);
      closeSync(file);
    }
  });
}
