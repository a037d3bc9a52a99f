import assert from 'node:assert/strict';
import { AutotorrentError } from '../../../src/errors.ts';
import { GAP, ZEROS } from '../../../src/extent/extent.ts';
import { decodePlan, encodePlan } from '../../../src/plan/codec.ts';
import type { Plan } from '../../../src/plan/plan.ts';
import { fileOf, planOf } from '../../harness/plans.ts';
import type { FuzzTarget } from '../target.ts';

const source = (path: string, spares: readonly number[]) => ({
  path: Buffer.from(path),
  dev: 1,
  ino: 2n ** 63n + 1n,
  size: 5000,
  mtimeNs: 1_600_000_000_123_456_789n,
  ctimeNs: -1n,
  spares,
});
const PLAN = planOf(
  'name',
  [source('/disk/a', [1]), source('/disk/b\xff', [])],
  [
    fileOf(['a'], [{ length: 5000, source: 0, sourceOffset: 0 }]),
    fileOf(
      ['b', 'c'],
      [
        { length: 10, source: GAP, sourceOffset: 0 },
        { length: 300, source: 1, sourceOffset: 20 },
      ],
      { status: 'partial' },
    ),
    fileOf(['pad'], [{ length: 16, source: ZEROS, sourceOffset: 0 }], { status: 'pad', executable: true }),
    fileOf(['link'], [], { symlink: ['b', 'c'] }),
  ],
);

export const target: FuzzTarget = {
  seeds: () => [encodePlan(PLAN), encodePlan({ ...PLAN, infoHashV2: 'ab'.repeat(32), aligned: true })],
  run(input) {
    let plan: Plan;
    try {
      plan = decodePlan(input);
    } catch (error) {
      if (error instanceof AutotorrentError && error.code === 'SERVER') return;
      throw error;
    }
    assert.deepEqual(decodePlan(encodePlan(plan)), plan);
  },
};
