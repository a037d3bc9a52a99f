/** The queue of repairs, with scripts instead of the child that repairs. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Repairs, type RepairTimes } from '../../../src/server/processes/repair.ts';
import { waitUntil } from '../../harness/daemon.ts';
import { temporaryFolder } from '../../harness/folder.ts';

const TIMES: RepairTimes = { quiet: 30, again: [30, 100], checking: [20, 40], limited: 300 };

/** Writes its arguments to a file, then reports each entry as `outcome` returns. */
const CHILD = `
import { appendFileSync, readFileSync } from 'node:fs';
const [log, plan, ...args] = process.argv.slice(2);
appendFileSync(log, JSON.stringify(args) + '\\n');
const times = (id) => readFileSync(log, 'utf8').split('\\n').filter((line) => line.includes(id)).length;
const ids = args.includes('--asked') ? args.slice(0, args.indexOf('--asked')) : args;
const { default: outcome } = await import(plan);
for (const id of ids) {
  const line = await outcome(id, times(id), args);
  if (line !== undefined) console.log(JSON.stringify({ info_hash: id, ...line }));
}
`;

describe('Repairs', () => {
  let folder: string;
  let log: string;
  let said: string[];
  let repairs: Repairs;
  /** The queue alone does not keep a process alive. */
  let alive: NodeJS.Timeout;

  beforeEach(async () => {
    folder = temporaryFolder('repairs');
    log = join(folder, 'log');
    said = [];
    alive = setInterval(() => {}, 1000);
    await writeFile(join(folder, 'child.mjs'), CHILD);
    await writeFile(log, '');
  });
  afterEach(async () => {
    await repairs.close();
    clearInterval(alive);
  });

  const make = async (outcome: string): Promise<void> => {
    const plan = join(folder, 'plan.mjs');
    await writeFile(plan, `export default async (id, time, args) => { ${outcome} };\n`);
    repairs = new Repairs({
      command: [join(folder, 'child.mjs'), log, plan],
      record: join(folder, 'repair.json'),
      keepDescriptors() {},
      logger: {
        debug() {},
        info: (text) => said.push(`info ${text}`),
        warn: (text) => said.push(`warn ${text}`),
        error: (text) => said.push(`error ${text}`),
      },
      times: TIMES,
    });
  };
  const runs = (): string[][] =>
    readFileSync(log, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as string[]);
  const asked = (id: string): number => runs().filter((ids) => ids.includes(id)).length;
  /** Waits long enough for anything that should not happen. */
  const settle = (): Promise<void> => sleep(500);

  it('has entries repaired by one child, once they are quiet, and only after its start', async () => {
    await make(`return { outcome: 'repaired', message: id + ' is repaired' };`);
    for (const id of ['one', 'two']) repairs.note(id);
    await settle();
    assert.deepEqual(runs(), []);
    repairs.start();
    await waitUntil('both', async () => said.length === 2);
    await settle();
    assert.deepEqual(runs(), [['one', 'two']]);
    assert.deepEqual(said, ['info one is repaired', 'info two is repaired']);
  });

  it('tries again what something is in the way of, and says that once', async () => {
    await make(`return time < 4 ? { outcome: 'later', message: 'the client is away' } : { outcome: 'nothing' };`);
    repairs.start();
    repairs.note('one');
    await waitUntil('the fourth attempt', async () => asked('one') === 4);
    await settle();
    assert.equal(asked('one'), 4);
    assert.deepEqual(said, ['warn the client is away']);
  });

  it('leaves alone what only the user may have repaired, until more is lost', async () => {
    await make(`return { outcome: 'told', message: 'too much' };`);
    repairs.start();
    repairs.note('one');
    await waitUntil('it is told', async () => said.length === 1);
    await settle();
    assert.equal(asked('one'), 1);
    repairs.note('one');
    await waitUntil('it is looked at again', async () => asked('one') === 2);
    await settle();
    assert.deepEqual(said, ['warn too much']);
  });

  it('waits longer for the limit of the day', async () => {
    await make(`return time < 2 ? { outcome: 'limited', message: 'tomorrow' } : { outcome: 'nothing' };`);
    repairs.start();
    repairs.note('one');
    await waitUntil('the first attempt', async () => asked('one') === 1);
    await sleep(200);
    assert.equal(asked('one'), 1);
    await waitUntil('the second', async () => asked('one') === 2);
  });

  it('tells whoever asked what becomes of it, to the end of the check', async () => {
    await make(`
      if (!args.includes('--asked')) return { outcome: 'told', message: 'too much' };
      return time < 4 ? { outcome: 'checking', message: 'it checks' } : { outcome: 'repaired', message: 'done' };
    `);
    repairs.start();
    repairs.note('one');
    await waitUntil('it is told', async () => said.length === 1);
    const outcomes: string[] = [];
    for await (const { outcome } of repairs.ask('one', new AbortController().signal)) outcomes.push(outcome);
    assert.deepEqual(outcomes, ['checking', 'checking', 'repaired']);
    assert.deepEqual(runs().at(-1), ['one', '--asked', 'one']);
    assert.deepEqual(said, ['warn too much', 'info done']);
  });

  it('takes up what an earlier server has begun', async () => {
    await writeFile(
      join(folder, 'repair.json'),
      JSON.stringify({ version: 1, spent: [], repairs: { one: { next: 'check', running: [''], bytes: 1 } } }),
    );
    await make(`return { outcome: 'repaired' };`);
    repairs.start();
    await waitUntil('it is repaired', async () => asked('one') === 1);
  });

  it('outlives a child that fails', async () => {
    await make(`if (time < 3) { console.error('no server runs'); process.exit(1); } return { outcome: 'nothing' };`);
    repairs.start();
    repairs.note('one');
    await waitUntil('the third attempt', async () => asked('one') === 3);
    await settle();
    assert.equal(asked('one'), 3);
    assert.deepEqual(said, ['warn what is lost could not be repaired: no server runs']);
  });

  it('ends a child that runs, and whoever waits for it', async () => {
    await make(`await new Promise((resolve) => { setTimeout(resolve, 60_000); });`);
    repairs.start();
    const waiting = (async () => {
      for await (const line of repairs.ask('one', new AbortController().signal)) return line;
      return undefined;
    })();
    await waitUntil('it runs', async () => asked('one') === 1);
    const began = performance.now();
    await repairs.close();
    assert.equal(await waiting, undefined);
    assert.ok(performance.now() - began < 5000);
  });
});
