import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { ReferenceKind } from '../lib/row.ts';
import { secondsOf } from '../lib/setting.ts';
import { PROCESSES } from './openssl-speed.ts';

const run = promisify(execFile);

export const OPENSSL_DIGEST: ReferenceKind = {
  name: `openssl dgst, ${PROCESSES} at once`,
  stands_for: 'A native program that reads and hashes the same files, one process for each processor.',
};

/** Seconds that `openssl dgst` takes to read and hash files, as many at once as there are processors. */
export async function digestSeconds(paths: readonly string[], algorithm: 'sha1' | 'sha256'): Promise<number> {
  const left = [...paths];
  return await secondsOf(async () => {
    await Promise.all(
      Array.from({ length: PROCESSES }, async () => {
        for (let path = left.shift(); path !== undefined; path = left.shift()) {
          await run('openssl', ['dgst', `-${algorithm}`, path]);
        }
      }),
    );
  });
}
