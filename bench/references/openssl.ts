/** What OpenSSL's own program does on this machine, now: the limits that hashing is measured against. */
import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** As the pool has threads. */
export const PROCESSES = Math.min(4, availableParallelism());

/** Bytes a second that as many processes as there are processors hash from memory, together, by the clock. */
export async function opensslSpeed(algorithm: 'sha1' | 'sha256'): Promise<number> {
  const flags = ['-elapsed', '-seconds', '1', '-bytes', '262144', '-multi', String(PROCESSES)];
  const { stdout } = await run('openssl', ['speed', ...flags, algorithm]);
  const [, thousands] = /([\d.]+)k\s*$/.exec(stdout) ?? [];
  if (thousands === undefined) throw new Error(`openssl speed said: ${stdout}`);
  return Number(thousands) * 1000;
}

/** Seconds of processor time that one process needs for a byte from memory. */
export async function opensslCost(algorithm: 'sha1' | 'sha256'): Promise<number> {
  const { stdout } = await run('openssl', ['speed', '-seconds', '1', '-bytes', '262144', algorithm]);
  const [, thousands] = /([\d.]+)k\s*$/.exec(stdout) ?? [];
  if (thousands === undefined) throw new Error(`openssl speed said: ${stdout}`);
  return 1 / (Number(thousands) * 1000);
}

/** Seconds that `openssl dgst` takes over files, read and hashed, as many at once as there are processors. */
export async function opensslDigest(paths: readonly string[], algorithm: 'sha1' | 'sha256'): Promise<number> {
  const left = [...paths];
  const began = performance.now();
  await Promise.all(
    Array.from({ length: PROCESSES }, async () => {
      for (let path = left.shift(); path !== undefined; path = left.shift()) {
        await run('openssl', ['dgst', `-${algorithm}`, path]);
      }
    }),
  );
  return (performance.now() - began) / 1000;
}
