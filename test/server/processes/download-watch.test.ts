/** The watch over downloads, with scripts instead of the child that verifies. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { appendFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  DownloadWatch,
  type DownloadWatchOptions,
  type WatchTimes,
} from '../../../src/server/processes/download-watch.ts';
import { waitUntil } from '../../harness/daemon.ts';
import { temporaryFolder } from '../../harness/folder.ts';

const TIMES: WatchTimes = { quiet: 20, longest: 500, look: 10, again: [30, 100], patience: 60_000 };

/**
 * Writes its arguments to a file, then reports each as `outcome` returns; that gets the hash and how often it was asked
 * for.
 */
const CHILD = `
import { appendFileSync, readFileSync } from 'node:fs';
const [log, plan, ...args] = process.argv.slice(2);
appendFileSync(log, JSON.stringify(args) + '\\n');
const times = (id) => readFileSync(log, 'utf8').split('\\n').filter((line) => line.includes(id)).length;
const ids = args.includes('--unasked') ? args.slice(0, args.indexOf('--unasked')) : args;
const { default: outcome } = await import(plan);
for (const id of ids) {
  const line = await outcome(id, times(id), args);
  if (line !== undefined) console.log(JSON.stringify({ info_hash: id, ...line }));
}
`;

describe('DownloadWatch', () => {
  let folder: string;
  let log: string;
  let warnings: string[];
  let watch: DownloadWatch;
  const infoHash = (entry: number): string => `hash${entry}.`;

  beforeEach(async () => {
    folder = temporaryFolder('download-watch');
    log = join(folder, 'log');
    warnings = [];
    await writeFile(join(folder, 'child.mjs'), CHILD);
    await writeFile(log, '');
  });
  afterEach(async () => await watch.close());

  const start = async (outcome: string, options: Partial<DownloadWatchOptions> = {}): Promise<void> => {
    const plan = join(folder, 'plan.mjs');
    await writeFile(plan, `export default async (id, time, args) => { ${outcome} };\n`);
    watch = new DownloadWatch({
      command: [join(folder, 'child.mjs'), log, plan],
      infoHashOf: async (entry) => infoHash(entry),
      keepDescriptors() {},
      logger: { debug() {}, info() {}, warn: (text) => warnings.push(text), error: (text) => warnings.push(text) },
      times: TIMES,
      ...options,
    });
  };
  const runs = (): string[][] =>
    readFileSync(log, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as string[]);
  const asked = (entry: number): number => runs().filter((ids) => ids.includes(infoHash(entry))).length;
  /** Waits long enough for anything that should not happen. */
  const settle = (): Promise<void> => sleep(400);

  it('has each entry verified once', async () => {
    await start(`return { outcome: 'verified' };`);
    for (const entry of [1, 2, 3]) watch.note(entry);
    await waitUntil('all three', async () => [1, 2, 3].every((entry) => asked(entry) === 1));
    await settle();
    assert.deepEqual([1, 2, 3].map(asked), [1, 1, 1]);
    assert.deepEqual(warnings, []);
  });

  it('loses no entry to looks that take long', async () => {
    await start(`return { outcome: 'verified' };`, {
      infoHashOf: async (entry) => {
        await sleep(100);
        return infoHash(entry);
      },
    });
    for (const entry of [1, 2, 3]) watch.note(entry);
    await waitUntil('all three', async () => [1, 2, 3].every((entry) => asked(entry) === 1));
  });

  it('outlives a look that fails, and looks again', async () => {
    let failures = 2;
    await start(`return { outcome: 'verified' };`, {
      infoHashOf: async (entry) => {
        if (failures-- > 0) throw new Error('the disk is away');
        return infoHash(entry);
      },
    });
    watch.note(1);
    await waitUntil('the entry', async () => asked(1) === 1);
    assert.deepEqual(
      warnings,
      Array(2).fill('an entry that a client wrote to could not be looked up: the disk is away'),
    );
  });

  it('keeps an entry whose verification failed, and tries it again', async () => {
    await start(`if (time < 3) { console.error('no server runs'); process.exit(1); } return { outcome: 'verified' };`);
    watch.note(1);
    await waitUntil('the third attempt', async () => asked(1) === 3);
    await settle();
    assert.equal(asked(1), 3);
    assert.deepEqual(warnings, Array(2).fill('what was downloaded could not be verified: no server runs'));
  });

  it('keeps what a child did not come to before it ended', async () => {
    await start(`if (id === 'hash2.' && time === 1) process.exit(1); return { outcome: 'verified' };`);
    for (const entry of [1, 2, 3]) watch.note(entry);
    await waitUntil('all three', async () => asked(2) === 2 && asked(3) === 2);
    await settle();
    assert.deepEqual([1, 2, 3].map(asked), [1, 2, 2]);
  });

  it('verifies an entry again that was written to while it was verified', async () => {
    await start(`await new Promise((done) => setTimeout(done, 300)); return { outcome: 'verified' };`);
    watch.note(1);
    await waitUntil('the child', async () => asked(1) === 1);
    watch.note(1);
    await waitUntil('the second child', async () => asked(1) === 2);
  });

  it('comes back to an entry that a client is checking, and lets the others go first', async () => {
    await start(`return { outcome: id === 'hash1.' && time < 4 ? 'checking' : 'verified' };`);
    for (const entry of [1, 2]) watch.note(entry);
    await waitUntil('the fourth attempt', async () => asked(1) === 4);
    await settle();
    assert.deepEqual([1, 2].map(asked), [4, 1]);
    assert.deepEqual(warnings, []);
  });

  it('does not wait for ever for a check that hangs', async () => {
    await start(`return { outcome: args.includes('--unasked') ? 'verified' : 'checking' };`, {
      times: { ...TIMES, patience: 200 },
    });
    watch.note(1);
    await waitUntil('its patience to end', async () => runs().some((ids) => ids.includes('--unasked')));
    const before = runs().length;
    await settle();
    assert.equal(runs().length, before);
    assert.deepEqual(runs().at(-1), ['hash1.', '--unasked', 'hash1.']);
  });

  it('forgets an entry that has gone', async () => {
    await start(`return { outcome: 'verified' };`, { infoHashOf: async () => undefined });
    watch.note(1);
    await settle();
    assert.deepEqual(runs(), []);
  });

  it('survives a child that cannot be started', async () => {
    await start(`return { outcome: 'verified' };`, {
      keepDescriptors() {
        throw new Error('no descriptors left');
      },
    });
    watch.note(1);
    await waitUntil('two warnings', async () => warnings.length >= 2);
    assert.equal(warnings[0], 'what was downloaded could not be verified: no descriptors left');
  });

  it('has ended its child, and looks no more, when close resolves', async () => {
    const ends = join(folder, 'ends');
    await appendFile(ends, '');
    await start(
      `process.on('SIGTERM', () => setTimeout(() => { appendFileSync('${ends}', ' ended'); process.exit(1); }, 200));
       appendFileSync('${ends}', 'begun');
       await new Promise((done) => setTimeout(done, 60_000)); return { outcome: 'verified' };`,
    );
    await writeFile(
      join(folder, 'plan.mjs'),
      `import { appendFileSync } from 'node:fs';\n${readFileSync(join(folder, 'plan.mjs'), 'utf8')}`,
    );
    watch.note(1);
    await waitUntil('the child', async () => readFileSync(ends, 'utf8') === 'begun');
    await watch.close();
    assert.equal(readFileSync(ends, 'utf8'), 'begun ended');
    watch.note(2);
    await settle();
    assert.equal(asked(2), 0);
  });

  it('waits in close for a look that is under way', async () => {
    let looked = false;
    await start(`return { outcome: 'verified' };`, {
      infoHashOf: async (entry) => {
        await sleep(200);
        looked = true;
        return infoHash(entry);
      },
    });
    watch.note(1);
    await sleep(100);
    await watch.close();
    assert.equal(looked, true);
    assert.deepEqual(runs(), []);
  });
});
