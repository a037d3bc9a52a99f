import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { GAP } from '../../src/extent/extent.ts';
import { encodedPlan, encodePlan } from '../../src/plan/codec.ts';
import type { Plan, PlanFile, PlanSource } from '../../src/plan/plan.ts';
import { PlanStream } from '../../src/plan/stream.ts';
import { fileOf, planOf } from '../harness/plans.ts';
import { fakeMetainfo } from '../harness/raw-plan.ts';

const FILES = 40;

function planWith(extents: number): Plan {
  const source: PlanSource = {
    path: Buffer.from('/a'),
    dev: 1,
    ino: 2n,
    size: 1e9,
    mtimeNs: 3n,
    ctimeNs: 4n,
    spares: [],
  };
  const files = Array.from({ length: FILES }, (_, i): PlanFile => {
    const parts = Array.from({ length: i === 3 ? extents : 2 }, (_, n) => ({
      length: 10 + n,
      source: n % 2 === 0 ? 0 : GAP,
      sourceOffset: n % 2 === 0 ? n : 0,
    }));
    return fileOf(['T', `folder ${i % 3}`, `${i}`], parts, { status: 'partial' });
  });
  const metainfo = fakeMetainfo(FILES, 500);
  return { ...planOf('T', [source, { ...source, ino: 4n, spares: [0] }], files), metainfo };
}

async function* inChunks(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

async function decoded(chunks: AsyncIterable<Buffer>): Promise<Plan> {
  const stream = await PlanStream.open(chunks);
  const { sourceCount: _sources, fileCount: _files, ...header } = stream.header;
  const sources: PlanSource[] = [];
  for await (const source of stream.sources()) sources.push(source);
  const files: PlanFile[] = [];
  for await (const file of stream.files()) files.push(file);
  return { ...header, sources, files };
}

describe('a plan that is read while it arrives', () => {
  it('is the plan, however it is cut into chunks', async () => {
    const plan = planWith(5000);
    const bytes = encodePlan(plan);
    assert.deepEqual(await decoded(inChunks(bytes, [1 << 20])), plan);
    const sizes = fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 10 });
    await fc.assert(
      fc.asyncProperty(sizes, async (few) => assert.deepEqual(await decoded(inChunks(bytes, few)), plan)),
      { numRuns: 30 },
    );
    assert.deepEqual(await decoded(inChunks(encodePlan(planWith(3)), [1])), planWith(3));
  });

  it('is encoded in blocks as it is as a whole', () => {
    const plan = planWith(20_000);
    const blocks = [...encodedPlan(plan)];
    assert.deepEqual(Buffer.concat(blocks), encodePlan(plan));
  });

  it('is refused at every cut', async () => {
    const bytes = encodePlan(planWith(2));
    for (let end = 0; end < bytes.length; end += 7) {
      await assert.rejects(decoded(inChunks(bytes.subarray(0, end), [100])), { code: 'SERVER' });
    }
  });
});
