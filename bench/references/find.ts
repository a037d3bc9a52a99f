import { spawnSync } from 'node:child_process';
import type { ReferenceKind } from '../lib/row.ts';
import { secondsOf } from '../lib/setting.ts';

export const FIND: ReferenceKind = {
  name: 'find',
  stands_for: 'A small native program that walks the same tree once and asks for the size of each file.',
};

/** Seconds that `find` takes to print size and path of everything below a folder. */
export async function findSeconds(folder: string): Promise<number> {
  return await secondsOf(() => {
    const { status, stderr } = spawnSync('find', [folder, '-printf', '%s %p\\n'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    if (status !== 0) throw new Error(`find failed: ${stderr.toString()}`);
  });
}
