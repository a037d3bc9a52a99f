/** The order of `add`, with steps that end when the test says so. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pipeline, type Ready, type Steps } from '../../src/app/pipeline.ts';
import type { ParsedTorrent, TorrentFile } from '../../src/app/torrent-files.ts';
import { weightOf } from '../../src/app/weight.ts';
import { AutotorrentError } from '../../src/errors.ts';
import { bytes, sample } from '../clients/steps.ts';

type Plan = string;
type Outcome = string;

const some = sample({ name: 'x', content: bytes(10, 1) });
/** One metainfo, with an info hash of its own for each torrent: making thousands would take seconds. */
const infoHashOf = (name: string): string => Buffer.from(name).toString('hex').padStart(40, '0');

function filesOf(names: readonly string[]): TorrentFile[] {
  return names.map((name) => ({ path: `/${name}.torrent`, name }));
}

/** Steps that all succeed; `own` replaces some. `rounds`: the names in each round. */
function stepsWith(own: Partial<Steps<Plan, Outcome>> = {}): { steps: Steps<Plan, Outcome>; rounds: string[][] } {
  const rounds: string[][] = [];
  const steps: Steps<Plan, Outcome> = {
    read: async (torrent) => ({ ...torrent, metainfo: { ...some, infoHash: infoHashOf(torrent.name) } }),
    wanted: async (torrents) => new Set(torrents),
    plan: async ({ name }) => `plan of ${name}`,
    async round(ready, settle) {
      rounds.push(ready.map(({ torrent }) => torrent.name));
      for (const { torrent, planned } of ready) settle(torrent, `${torrent.name}: ${planned ?? 'unplanned'}`);
    },
    failed: ({ name }, error) => `${name} failed: ${error.message}`,
    ...own,
  };
  return { steps, rounds };
}

async function collect(outcomes: AsyncGenerator<Outcome>): Promise<{ given: Outcome[]; error: unknown }> {
  const given: Outcome[] = [];
  try {
    for await (const outcome of outcomes) given.push(outcome);
    return { given, error: undefined };
  } catch (error) {
    return { given, error };
  }
}

/** A plan that ends on demand, or when everything stops. */
function gate(stop: AbortController): { open: () => void; passed: Promise<void> } {
  let open = (): void => {};
  const passed = new Promise<void>((resolve, reject) => {
    open = resolve;
    stop.signal.addEventListener('abort', () => reject(stop.signal.reason));
  });
  passed.catch(() => {});
  return { open, passed };
}

describe('the pipeline of add', () => {
  it('settles what is ready while another is hashed, and gives the outcomes in order', {
    timeout: 10_000,
  }, async () => {
    const stop = new AbortController();
    const large = gate(stop);
    const settled: string[] = [];
    const names = Array.from({ length: 700 }, (_, i) => `t${i}`);
    const { steps } = stepsWith({
      async plan({ name }) {
        if (name === 't0') await large.passed;
        return name;
      },
      async round(ready, settle) {
        for (const { torrent } of ready) {
          settled.push(torrent.name);
          settle(torrent, torrent.name);
        }
        // The large one is done when all others have been settled.
        if (settled.length === names.length - 1) large.open();
      },
    });
    const { given, error } = await collect(pipeline(filesOf(names), steps, stop));
    assert.equal(error, undefined);
    assert.deepEqual(given, names);
    assert.equal(settled.at(-1), 't0');
  });

  it('lets torrents wait for those that are too heavy to be beside them', { timeout: 10_000 }, async () => {
    const stop = new AbortController();
    const own = weightOf(some);
    let underWay = 0;
    let most = 0;
    let largeBeside = -1;
    const names = ['a', 'b', 'c', 'large', 'd', 'e', 'f', 'g'];
    const { steps, rounds } = stepsWith({
      async read(torrent, room) {
        await room(torrent.name === 'large' ? 100 * own : own);
        if (torrent.name === 'large') largeBeside = underWay;
        most = Math.max(most, ++underWay);
        return { ...torrent, metainfo: { ...some, infoHash: infoHashOf(torrent.name) } };
      },
      async round(ready, settle) {
        rounds.push(ready.map(({ torrent }) => torrent.name));
        for (const { torrent } of ready) {
          underWay--;
          settle(torrent, torrent.name);
        }
      },
    });
    const room = { all: 3 * own, one: 1000 * own };
    const { given, error } = await collect(pipeline(filesOf(names), steps, stop, room));
    assert.equal(error, undefined);
    assert.deepEqual(given, names);
    assert.equal(most, 3);
    assert.equal(largeBeside, 0);
  });

  it('gives an outcome as soon as all before it are known', { timeout: 10_000 }, async () => {
    const stop = new AbortController();
    const last = gate(stop);
    const { steps } = stepsWith({
      async plan({ name }) {
        if (name === 'c') await last.passed;
        return name;
      },
    });
    const outcomes = pipeline(filesOf(['a', 'b', 'c']), steps, stop);
    assert.equal((await outcomes.next()).value, 'a: a');
    assert.equal((await outcomes.next()).value, 'b: b');
    last.open();
    assert.equal((await outcomes.next()).value, 'c: c');
    assert.equal((await outcomes.next()).done, true);
  });

  it('makes few rounds of many that are ready at once', async () => {
    const names = Array.from({ length: 1000 }, (_, i) => `t${i}`);
    const { steps, rounds } = stepsWith();
    await collect(pipeline(filesOf(names), steps, new AbortController()));
    assert.ok(rounds.length <= 12, `${rounds.length} rounds`);
  });

  it('holds a bounded number of torrents, and of bytes of them', { timeout: 20_000 }, async () => {
    for (const { raw, most } of [
      { raw: some.raw, most: 500 },
      { raw: Buffer.alloc(1024 * 1024), most: 100 },
    ]) {
      let held = 0;
      let seen = 0;
      const { steps } = stepsWith({
        async read(torrent, room) {
          const metainfo = { ...some, raw, infoHash: infoHashOf(torrent.name) };
          await room(weightOf(metainfo));
          seen = Math.max(seen, ++held);
          return { ...torrent, metainfo };
        },
        async round(ready, settle) {
          await sleep(20);
          held -= ready.length;
          for (const { torrent } of ready) settle(torrent, 'x');
        },
      });
      const names = Array.from({ length: 2000 }, (_, i) => `t${i}`);
      const { given } = await collect(pipeline(filesOf(names), steps, new AbortController()));
      assert.equal(given.length, 2000);
      assert.ok(seen <= most, `${seen} at once`);
    }
  });

  it('begins one that is under way already when that is settled', async () => {
    const planned: string[] = [];
    const wanted: string[][] = [];
    const { steps, rounds } = stepsWith({
      read: async (torrent) => ({ ...torrent, metainfo: { ...some, infoHash: infoHashOf(torrent.name.slice(0, 1)) } }),
      async wanted(torrents) {
        wanted.push(torrents.map(({ name }) => name));
        return new Set(torrents.filter(({ name }) => name !== 'a2'));
      },
      async plan({ name }) {
        planned.push(name);
        return name;
      },
    });
    const { given } = await collect(pipeline(filesOf(['a1', 'a2', 'b1', 'a3']), steps, new AbortController()));
    assert.deepEqual(given, ['a1: a1', 'a2: unplanned', 'b1: b1', 'a3: a3']);
    assert.deepEqual(wanted, [['a1', 'b1'], ['a2'], ['a3']]);
    for (const round of rounds) assert.equal(new Set(round.map((name) => name[0])).size, round.length);
  });

  it('lets one fail alone that cannot be read, or whose plan goes wrong', async () => {
    const { steps } = stepsWith({
      async read(torrent) {
        if (torrent.name === 'a') return { ...torrent, error: new AutotorrentError('TORRENT', 'no torrent') };
        return { ...torrent, metainfo: { ...some, infoHash: infoHashOf(torrent.name) } };
      },
      async plan({ name }) {
        if (name === 'b') throw new RangeError('a mistake');
        return name;
      },
    });
    const { given, error } = await collect(pipeline(filesOf(['a', 'b', 'c']), steps, new AbortController()));
    assert.equal(error, undefined);
    assert.deepEqual(given, ['a failed: no torrent', 'b failed: a mistake', 'c: c']);
  });

  const gone = new AutotorrentError('INDEX', 'the index cannot be read');
  const slowly = async (ready: readonly Ready<Plan>[], settle: (torrent: ParsedTorrent, outcome: Outcome) => void) => {
    for (const { torrent } of ready) settle(torrent, torrent.name);
  };

  it('gives what is known, also behind one that is not, and throws what stops all', { timeout: 10_000 }, async () => {
    for (const failing of ['plan', 'round', 'wanted'] as const) {
      const stop = new AbortController();
      const never = gate(stop);
      const rounds: string[] = [];
      const { steps } = stepsWith({
        async plan({ name }) {
          if (name === 't1') await never.passed;
          if (failing === 'plan' && name === 't250') throw gone;
          return name;
        },
        async wanted(torrents) {
          if (failing === 'wanted' && torrents.some(({ name }) => name === 't250')) {
            await sleep(200);
            throw gone;
          }
          return new Set(torrents);
        },
        async round(ready, settle) {
          const { length } = rounds;
          rounds.push(...ready.map(({ torrent }) => torrent.name));
          if (failing === 'round' && length > 0) throw gone;
          await slowly(ready, settle);
        },
      });
      const names = Array.from({ length: 600 }, (_, i) => `t${i}`);
      const { given, error } = await collect(pipeline(filesOf(names), steps, stop));
      assert.equal(error, gone, failing);
      assert.equal(given.includes('t1'), false);
      assert.ok(given.length < 600);
      // The outcome of a settled torrent is given, although t1 before it has none.
      assert.equal(given.includes('t0'), rounds.includes('t0'), failing);
      assert.deepEqual(
        given,
        names.filter((name) => given.includes(name)),
      );
    }
  });

  it('lets a round that has begun end when it is stopped, and drops what is only planned', {
    timeout: 10_000,
  }, async () => {
    const stop = new AbortController();
    const never = gate(stop);
    const { steps } = stepsWith({
      async plan({ name }) {
        if (name === 'c') await never.passed;
        return name;
      },
      async round(ready, settle) {
        stop.abort(new Error('stopped by SIGINT'));
        await sleep(20);
        await slowly(ready, settle);
      },
    });
    const { given, error } = await collect(pipeline(filesOf(['c', 'a', 'b']), steps, stop));
    assert.deepEqual(given, ['a', 'b']);
    assert.match(String(error), /stopped by SIGINT/);
  });

  it('ends what runs when nobody waits for the outcomes any more', { timeout: 10_000 }, async () => {
    const stop = new AbortController();
    const never = gate(stop);
    const { steps } = stepsWith({
      async plan({ name }) {
        if (name === 'b') await never.passed;
        return name;
      },
    });
    for await (const outcome of pipeline(filesOf(['a', 'b']), steps, stop)) {
      assert.equal(outcome, 'a: a');
      break;
    }
    assert.ok(stop.signal.aborted);
  });
});
