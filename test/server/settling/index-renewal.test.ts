import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { IndexRenewal } from '../../../src/server/settling/index-renewal.ts';

const TIMES = { every: 600_000, quiet: 3000, patience: 60_000, failed: 60_000 };
const DISKS = [
  { path: '/a', fileSystems: ['uuid:a'] },
  { path: '/b', fileSystems: ['uuid:b'] },
];

describe('the renewal of the index', () => {
  function renewalOf({ asleep = [] as string[] } = {}) {
    let now = 1_000_000;
    const ours: string[] = [];
    const renewal = new IndexRenewal({
      use: {
        look: () => Promise.resolve(),
        usedLately: (disk) => !asleep.includes(disk),
        async ownWork(disk, work) {
          ours.push(disk);
          try {
            return await work();
          } finally {
            ours.splice(ours.indexOf(disk), 1);
          }
        },
      },
      times: TIMES,
      now: () => now,
    });
    const ask = async (id: number, leftMs: number, person = false, disks = DISKS) => {
      const answer = await renewal.ask({ id, leftMs, disks }, person);
      return answer.state === 'renew' ? answer.disks : answer.state;
    };
    const pass = (ms: number): void => {
      now += ms;
    };
    return { renewal, ask, pass, asleep, ours, now: () => now };
  }

  it('renews once for all that is lost at the same time, when nothing more goes', async () => {
    const { renewal, ask, pass, now, ours } = renewalOf();
    for (let id = 0; id < 100; id++) {
      pass(100);
      assert.equal(await ask(id, now()), 'later');
    }
    assert.equal(renewal.againMs(99), TIMES.quiet);
    pass(TIMES.quiet);
    assert.deepEqual(await ask(0, 1_000_100), ['/a', '/b']);
    assert.deepEqual(ours, ['uuid:a', 'uuid:b']);
    assert.equal(await ask(1, 1_000_200), 'later', 'it runs');
    renewal.renewed(DISKS, now());
    pass(1000);
    for (let id = 0; id < 100; id++) assert.equal(await ask(id, 1_000_100 + 100 * id), 'fresh');
    assert.deepEqual(ours, []);
  });

  it('does not wait longer than a minute for the last that goes', async () => {
    const { ask, pass, now } = renewalOf();
    for (let second = 0; second < 60; second++) {
      assert.equal(await ask(1, now()), 'later');
      pass(1000);
    }
    assert.deepEqual(await ask(1, now()), ['/a', '/b']);
  });

  it('renews no more often than every ten minutes, but at once for a person, and after a failure', async () => {
    const { renewal, ask, pass, now } = renewalOf();
    assert.deepEqual(await ask(1, now() - 5000), ['/a', '/b']);
    renewal.renewed(DISKS, now());
    pass(TIMES.quiet + 1);
    assert.equal(await ask(2, now() - 3000), 'later');
    assert.equal(renewal.againMs(2), TIMES.every - TIMES.quiet - 1);
    assert.deepEqual(await ask(2, now() - 3000, true), ['/a', '/b']);
    renewal.failed('the disk is full');
    pass(TIMES.failed);
    assert.deepEqual(await ask(2, now() - 63_000), ['/a', '/b']);
  });

  it('lets a disk sleep, and says so, until something uses it or a person waits', async () => {
    const { renewal, ask, now, asleep, pass } = renewalOf({ asleep: ['uuid:b'] });
    const leftMs = now() - 5000;
    assert.deepEqual(await ask(1, leftMs), ['/a']);
    renewal.renewed(DISKS.slice(0, 1), now());
    pass(1000);
    const answer = await renewal.ask({ id: 1, leftMs, disks: DISKS }, false);
    assert.ok(answer.state === 'later');
    assert.match(answer.reason, /^is looked for on \/b once that is in use again/);
    assert.equal(renewal.isReady(1), false);
    assert.equal(renewal.isReady(2), true);
    assert.deepEqual(await ask(1, leftMs, true), ['/b']);
    renewal.failed('');
    assert.equal(await ask(1, leftMs), 'later');
    asleep.length = 0;
    assert.equal(renewal.isReady(1), true);
    pass(TIMES.failed);
    assert.deepEqual(await ask(1, leftMs), ['/b']);
  });

  it('does not take another file system for the one that was read', async () => {
    const { renewal, ask, now } = renewalOf();
    const leftMs = now() - 5000;
    assert.deepEqual(await ask(1, leftMs, true), ['/a', '/b']);
    renewal.renewed(DISKS, now());
    assert.equal(await ask(1, leftMs), 'fresh');
    const other = [DISKS[0]!, { path: '/b', fileSystems: ['uuid:c'] }];
    assert.deepEqual(await ask(1, leftMs, true, other), ['/b']);
  });
});
