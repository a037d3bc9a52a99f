import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { awayDisk } from '../../../src/server/settling/away-disk.ts';
import type { Condition } from '../../../src/source/condition.ts';

describe('a disk of the configuration that is away', () => {
  async function away(states: Readonly<Record<number, Condition['state']>> = {}): Promise<string | undefined> {
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
          yield sources.filter(({ path }) => path.startsWith(`${folder.toString()}/`));
        },
      },
    };
    return await awayDisk(store, ['/a', '/b'], new Map([['uuid:a', []]]));
  }

  it('is known by a source whose file system is not mounted', async () => {
    assert.equal(await away(), '/b');
    assert.equal(await away({ 2: 'waiting' }), '/b');
  });

  it('is not missed once its sources were given up', async () => {
    assert.equal(await away({ 2: 'lost' }), undefined);
  });
});
