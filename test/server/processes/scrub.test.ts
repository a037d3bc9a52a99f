/** The scrub in the background, with a script instead of the child that hashes. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DueEntry } from '../../../src/control/served.ts';
import { Calm } from '../../../src/server/processes/calm.ts';
import { ScrubProcess, type ScrubProcessOptions } from '../../../src/server/processes/scrub.ts';
import { isTimeFor, shownTime } from '../../../src/server/processes/scrub-time.ts';
import { waitUntil } from '../../harness/daemon.ts';
import { temporaryFolder } from '../../harness/folder.ts';

/** Asks for two turns on two disks, writes the answers to a file, and reports an entry. */
const CHILD = `
import { appendFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
const [log, entry] = process.argv.slice(2);
appendFileSync(log, 'begun\\n');
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
for (let turn = 0; turn < 2; turn++) {
  console.log(JSON.stringify({ turn: ['awake', 'asleep'] }));
  const { value, done } = await lines.next();
  appendFileSync(log, (done ? 'the server has gone' : value) + '\\n');
  if (done || 'end' in JSON.parse(value)) process.exit(0);
}
console.log(JSON.stringify({ entry: JSON.parse(entry) }));
process.stdin.destroy();
`;

const DUE: DueEntry = { infoHash: 'a'.repeat(40), pieceLength: 1, doubted: 0, unproven: 5, old: 0 };
const at = (hour: number, minute = 0): Date => new Date(2026, 10, 30, hour, minute);

describe('the scrub in the background', () => {
  let log: string;
  let child: string;
  let scrub: ScrubProcess;

  beforeEach(async () => {
    const folder = temporaryFolder('scrub-process');
    log = join(folder, 'log');
    child = join(folder, 'child.mjs');
    await writeFile(child, CHILD);
    await writeFile(log, '');
  });
  afterEach(async () => await scrub.close());

  const lines = (): string[] =>
    readFileSync(log, 'utf8')
      .split('\n')
      .filter((line) => line !== '');
  const start = (entry: object, options: Partial<ScrubProcessOptions> = {}): void => {
    scrub = new ScrubProcess({
      command: [
        child,
        log,
        JSON.stringify({ infoHash: DUE.infoHash, badPieces: 0, leftPieces: 0, asleep: [], ...entry }),
      ],
      when: 'idle',
      async *due() {
        yield DUE;
      },
      bytesRead: () => 0,
      disks: { usedLately: (disk) => disk === 'awake', ownWork: async (_, work) => await work() },
      keepDescriptors() {},
      logger: { debug() {}, info() {}, warn() {}, error() {} },
      times: { first: 10, look: 30, calm: 20 },
      ...options,
    });
    scrub.start();
  };

  it('lets a sleeping disk sleep, and does not begin again for what lies on it until it is used', async () => {
    let used = false;
    start(
      { provenPieces: 3, leftPieces: 2, asleep: ['asleep'] },
      { disks: { usedLately: (disk) => used || disk === 'awake', ownWork: async (_, work) => await work() } },
    );
    await waitUntil('a round', async () => scrub.status.provenPieces === 3);
    await sleep(300);
    assert.deepEqual(lines(), ['begun', '{"go":["awake"]}', '{"go":["awake"]}']);
    assert.deepEqual(scrub.status.asleep, ['asleep']);
    used = true;
    await waitUntil('another round', async () => lines().length >= 6);
    assert.equal(lines()[4], '{"go":["awake","asleep"]}');
  });

  it('starts no child where nothing is due, or it is off, or not the time', async () => {
    start({}, { due: nothing });
    await sleep(150);
    await scrub.close();
    start({}, { when: 'off' });
    await sleep(150);
    assert.equal(scrub.status.state, 'off');
    await scrub.close();
    start({}, { when: { from: 120, to: 360 }, now: () => at(1, 59) });
    await sleep(150);
    assert.deepEqual(lines(), []);
    assert.equal(scrub.status.when, '02:00-06:00');
  });

  it('ends when its time is over', async () => {
    let now = at(5, 59);
    let turns = 0;
    const disks: ScrubProcessOptions['disks'] = {
      usedLately() {
        // After the first turn has been granted.
        if (++turns === 2) now = at(6, 0);
        return true;
      },
      ownWork: async (_, work) => await work(),
    };
    start({ provenPieces: 1 }, { when: { from: 120, to: 360 }, now: () => now, disks });
    await waitUntil('the end', async () => lines().length >= 3);
    assert.deepEqual(lines(), ['begun', '{"go":["awake","asleep"]}', '{"end":true}']);
  });

  it('waits while clients read a lot', async () => {
    let rate = 50_000_000;
    let bytes = 0;
    let asked = performance.now();
    const bytesRead = (): number => {
      bytes += ((performance.now() - asked) / 1000) * rate;
      asked = performance.now();
      return bytes;
    };
    start({ provenPieces: 1 }, { bytesRead, disks: slow(100) });
    await waitUntil('it waits', async () => scrub.status.state === 'paused');
    const granted = (): number => lines().filter((line) => line.includes('go')).length;
    const before = granted();
    await sleep(300);
    assert.equal(granted(), before);
    rate = 1_000_000;
    await waitUntil('it goes on', async () => scrub.status.provenPieces === 1);
  });

  it('ends its child with itself', async () => {
    start({ provenPieces: 1 }, { disks: slow(60_000) });
    await waitUntil('the child runs', async () => lines().length === 1);
    const began = performance.now();
    await scrub.close();
    assert.ok(performance.now() - began < 5000);
  });
});

describe('the time for a scrub', () => {
  it('is a window of the day, also over midnight', () => {
    const night = { from: 23 * 60, to: 5 * 60 + 30 };
    const times = [at(22, 59), at(23), at(0), at(5, 29), at(5, 30), at(12)];
    assert.deepEqual(
      times.map((time) => isTimeFor(night, time)),
      [false, true, true, true, false, false],
    );
    assert.deepEqual(
      times.map((time) => isTimeFor({ from: 60, to: 12 * 60 + 1 }, time)),
      [false, false, false, true, true, true],
    );
    assert.deepEqual([isTimeFor('off', at(3)), isTimeFor('idle', at(3))], [false, true]);
    assert.equal(shownTime(night), '23:00-05:30');
  });

  it('is when clients read less than 8 MB a second over the last seconds', () => {
    let bytes = 0;
    const calm = new Calm(() => bytes);
    assert.equal(calm.isCalm, true);
    for (let second = 0; second < 5; second++) {
      calm.look(second * 1000);
      bytes += 9_000_000;
    }
    assert.equal(calm.isCalm, false);
    bytes -= 9_000_000;
    for (let second = 5; second < 8; second++) calm.look(second * 1000);
    assert.equal(calm.isCalm, true);
  });
});

async function* nothing(): AsyncGenerator<DueEntry> {}

/** All disks are in use; each answer takes a while. */
function slow(ms: number): ScrubProcessOptions['disks'] {
  return {
    usedLately: () => true,
    async ownWork(_, work) {
      await sleep(ms, undefined, { ref: false });
      return await work();
    },
  };
}
