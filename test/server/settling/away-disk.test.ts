import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AwayDisks } from '../../../src/server/settling/away-disk.ts';
import type { Condition } from '../../../src/source/condition.ts';

describe('a disk of the configuration that is away', () => {
  let walks = 0;
  function disksOf(states: Readonly<Record<number, Condition['state']>> = {}, believedMs = 60_000): AwayDisks {
    const sources = ['/a/1', '/b/1', '/b/deep/2'].map((path, id) => ({
      id,
      path,
      disk: id === 2 ? 'uuid:b' : 'uuid:a',
    }));
    const store = {
      source: (id: number) => ({ path: Buffer.from(sources[id]!.path), disk: sources[id]!.disk }),
      living: {
        condition: (id: number) => (id in states ? ({ state: states[id]! } as Condition) : undefined),
        async *sourcesBelow(folder: Buffer) {
          walks++;
          yield sources.filter(({ path }) => path.startsWith(`${folder.toString()}/`));
        },
      },
    };
    return new AwayDisks(store, believedMs);
  }
  const mounted = (...disks: readonly string[]): Map<string, []> => new Map(disks.map((disk) => [`uuid:${disk}`, []]));
  const away = async (states?: Parameters<typeof disksOf>[0]): Promise<string | undefined> =>
    await disksOf(states).first(['/a', '/b'], mounted('a'));

  it('is known by a source whose file system is not mounted', async () => {
    assert.equal(await away(), '/b');
    assert.equal(await away({ 2: 'waiting' }), '/b');
  });

  it('is looked for once for many cases, and again when something else is mounted', async () => {
    const disks = disksOf();
    walks = 0;
    const ask = async (...there: readonly string[]): Promise<string | undefined> =>
      await disks.first(['/a', '/b'], mounted(...there));
    assert.deepEqual(await Promise.all([ask('a'), ask('a'), ask('a')]), ['/b', '/b', '/b']);
    assert.equal(await ask('a'), '/b');
    assert.equal(walks, 2);
    assert.equal(await ask('a', 'b'), undefined);
    assert.equal(walks, 4);
    const forgetful = disksOf({}, 0);
    for (let i = 0; i < 2; i++) assert.equal(await forgetful.first(['/b'], mounted('a')), '/b');
    assert.equal(walks, 6);
  });

  it('is not missed once its sources were given up', async () => {
    assert.equal(await away({ 2: 'lost' }), undefined);
  });
});
