import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { PlanSource } from '../../src/plan/plan.ts';
import { type LookedAtSource, lookedAt } from '../../src/source/looked-at.ts';
import type { Readers } from '../../src/source/readers.ts';

const sourceAt = (path: string): PlanSource => ({
  path: Buffer.from(path),
  dev: 1,
  ino: 2n,
  size: 3,
  mtimeNs: 4n,
  ctimeNs: 5n,
  spares: [],
});

async function* plan(count: number): AsyncGenerator<PlanSource, void, undefined> {
  for (let i = 0; i < count; i++) yield sourceAt(`/${i}`);
}

async function look(
  count: number,
  atPath: (path: string) => Promise<Readers | undefined>,
): Promise<{ found: LookedAtSource[]; missed: boolean }> {
  let missed = false;
  const found: LookedAtSource[] = [];
  const options = {
    look: { atPath: async (path: Buffer) => await atPath(path.toString()) },
    onMissed: () => {
      missed = true;
    },
    limitMs: 50,
  };
  for await (const source of lookedAt(plan(count), options)) found.push(source);
  return { found, missed };
}

it('passes on all sources of a plan in order, with who may read them', async () => {
  const { found, missed } = await look(600, async (path) => (path === '/7' ? 'nobody' : 'everyone'));
  assert.deepEqual(
    found.map(({ path }) => path.toString()),
    Array.from({ length: 600 }, (_, i) => `/${i}`),
  );
  assert.equal(found.filter(({ readers }) => readers === 'everyone').length, 599);
  assert.equal(missed, false);
});

it('leaves out what it cannot look at, and says so', async () => {
  const { found, missed } = await look(3, async (path) => (path === '/1' ? undefined : 'everyone'));
  assert.deepEqual(
    found.map(({ readers }) => readers),
    ['everyone', undefined, 'everyone'],
  );
  assert.equal(missed, true);
});

it('does not wait for a disk that does not answer', async () => {
  // A call on a disk keeps the process alive.
  const call = setInterval(() => {}, 1000);
  const { found, missed } = await look(600, async (path) => {
    if (path === '/300') await new Promise(() => {});
    return 'everyone';
  });
  clearInterval(call);
  assert.equal(found.length, 600);
  assert.equal(found[0]!.readers, 'everyone');
  assert.equal(found[300]!.readers, undefined);
  assert.equal(found[599]!.readers, undefined);
  assert.equal(missed, true);
});
