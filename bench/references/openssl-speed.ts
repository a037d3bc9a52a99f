import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import type { ReferenceKind } from '../lib/row.ts';

const run = promisify(execFile);

/** As many processes as the hash pool has threads. */
export const PROCESSES = Math.min(4, availableParallelism());

export const OPENSSL_SPEED: ReferenceKind = {
  name: `openssl speed, ${PROCESSES} processes`,
  stands_for: 'OpenSSL hashing memory on every processor and reading nothing: the limit of the machine.',
};

export const OPENSSL_COST: ReferenceKind = {
  name: 'openssl speed, processor time',
  stands_for: 'The processor time that OpenSSL needs to hash as many bytes from memory.',
};

/** Bytes a second that all processes hash together, by the clock. */
export async function opensslSpeed(algorithm: 'sha1' | 'sha256'): Promise<number> {
  return await speed(algorithm, ['-elapsed', '-multi', String(PROCESSES)]);
}

/** Seconds of processor time that one process needs for a byte. */
export async function opensslCost(algorithm: 'sha1' | 'sha256'): Promise<number> {
  return 1 / (await speed(algorithm, []));
}

async function speed(algorithm: string, flags: readonly string[]): Promise<number> {
  const { stdout } = await run('openssl', ['speed', ...flags, '-seconds', '1', '-bytes', '262144', algorithm]);
  const [, thousands] = /([\d.]+)k\s*$/.exec(stdout) ?? [];
  if (thousands === undefined) throw new Error(`openssl speed printed: ${stdout}`);
  return Number(thousands) * 1000;
}
