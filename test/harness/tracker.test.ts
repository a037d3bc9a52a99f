/** The tracker of the tests, asked in the way of clients. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import bencode from 'bencode';
import { startTracker, type Tracker } from './tracker.ts';

/** Every byte that has a meaning of its own in a query, and some bytes that are not UTF-8. */
const INFO_HASH = Buffer.from('00ff252b26203d2fc3a9fe0a3f23aabbccddeeff', 'hex');

let tracker: Tracker;
before(async () => {
  tracker = await startTracker();
});
after(() => tracker.stop());

const escaped = (bytes: Buffer): string => [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');

async function announce(parameters: Readonly<Record<string, string | number>>): Promise<Record<string, unknown>> {
  const all: Record<string, string | number> = {
    info_hash: escaped(INFO_HASH),
    peer_id: '-XX0000-000000000000',
    port: 1000,
    left: 0,
    ...parameters,
  };
  const query = Object.entries(all).map(([name, value]) => `${name}=${value}`);
  const response = await fetch(`${tracker.url}?${query.join('&')}`);
  return bencode.decode(Buffer.from(await response.arrayBuffer())) as Record<string, unknown>;
}

const seeder = (id: number): string => `-XX0000-00000000000${id}`;

describe('the tracker of the tests', () => {
  it('knows nobody at first, and never returns the asker', async () => {
    for (let asked = 0; asked < 2; asked++) {
      const answer = await announce({ peer_id: seeder(1), compact: 1, event: 'started' });
      assert.equal(Buffer.from(answer['peers'] as Uint8Array).length, 0);
      assert.equal(answer['interval'], 5);
      assert.deepEqual([answer['complete'], answer['incomplete']], [1, 0]);
    }
    await tracker.seeded(INFO_HASH.toString('hex'));
  });

  it('gives the others, compact or as dictionaries, as asked', async () => {
    const compact = await announce({ peer_id: seeder(2), port: 0x1234, left: 5, compact: 1 });
    assert.deepEqual([...(compact['peers'] as Uint8Array)], [127, 0, 0, 1, 1000 >> 8, 1000 & 255]);
    assert.deepEqual([compact['complete'], compact['incomplete']], [1, 1]);
    const plain = await announce({ peer_id: seeder(1) });
    const [peer, ...more] = plain['peers'] as Record<string, unknown>[];
    assert.equal(more.length, 0);
    assert.equal(Buffer.from(peer?.['ip'] as Uint8Array).toString(), '127.0.0.1');
    assert.equal(Buffer.from(peer?.['peer id'] as Uint8Array).toString(), seeder(2));
    assert.equal(peer?.['port'], 0x1234);
  });

  it('gives no more than are wanted', async () => {
    const answer = await announce({ peer_id: seeder(3), port: 3000, left: 5, numwant: 1, compact: 1 });
    assert.equal((answer['peers'] as Uint8Array).length, 6);
  });

  it('forgets whoever stops', async () => {
    await announce({ peer_id: seeder(2), port: 0x1234, event: 'stopped' });
    await announce({ peer_id: seeder(3), port: 3000, event: 'stopped' });
    const answer = await announce({ peer_id: seeder(1), compact: 1 });
    assert.equal((answer['peers'] as Uint8Array).length, 0);
  });

  for (const [what, parameters] of [
    ['info_hash', { info_hash: 'short' }],
    ['peer_id', { peer_id: '' }],
    ['port', { port: 70_000 }],
  ] as const) {
    it(`says why it cannot answer without a sound ${what}`, async () => {
      const answer = await announce(parameters);
      assert.match(Buffer.from(answer['failure reason'] as Uint8Array).toString(), new RegExp(`^${what} is not `));
    });
  }
});
