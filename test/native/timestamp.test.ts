import assert from 'node:assert/strict';
import { lstatSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { fromNanoseconds, millisecondsOf, nanosecondsOf, toNanoseconds } from '../../src/native/timestamp.ts';
import { temporaryFolder } from '../harness/folder.ts';

const time = fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n });

describe('times in nanoseconds', () => {
  it('are the same after they were seconds and nanoseconds', () => {
    fc.assert(fc.property(time, (ns) => assert.equal(toNanoseconds(fromNanoseconds(ns)), ns)));
  });

  it('are the same milliseconds again after they were made of them', () => {
    fc.assert(
      fc.property(time, (ns) => assert.equal(millisecondsOf(nanosecondsOf(millisecondsOf(ns))), millisecondsOf(ns))),
    );
  });

  it('are the milliseconds that Node gives', () => {
    const path = join(temporaryFolder('time'), 'file');
    writeFileSync(path, '');
    for (const seconds of [undefined, 0, 1.000001, 1_600_000_000.123456, 4_000_000_000]) {
      if (seconds !== undefined) utimesSync(path, seconds, seconds);
      const { mtimeNs, ctimeNs } = lstatSync(path, { bigint: true });
      const { mtimeMs, ctimeMs } = lstatSync(path);
      assert.deepEqual([millisecondsOf(mtimeNs), millisecondsOf(ctimeNs)], [mtimeMs, ctimeMs]);
    }
  });
});
